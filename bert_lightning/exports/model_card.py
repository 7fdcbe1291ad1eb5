"""Write the model card of an exported checkpoint: what its run records, and the hub's YAML header.

The run may come from a stranger. Its values stand in YAML that a program writes, and in Markdown as code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped]

from bert_lightning.exports.card_metrics import CardMetric, data_name, metrics_of_weights
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.run_records import RunRecord, flatten, read_run
from bert_lightning.text.tokenizers.recipes import vocabulary_size

_LONGEST_VALUE = 300  # most characters of a value of a run in the text
_LANGUAGE = re.compile(r"[a-z]{2,3}")


@dataclass(frozen=True)
class Target:
    """The purpose of an exported folder: the program that loads it, and the code that does.

    `library` and `pipeline` are the hub's names of the program and of what the model does. `files` says in a sentence
    what the folder holds. `usage` are examples of Python code with a sentence before each.
    """

    library: str
    pipeline: str
    tags: tuple[str, ...]
    files: str
    usage: tuple[tuple[str, str], ...]


def model_card(source: PretrainedWeights, title: str, target: Target) -> str:
    """Return the text of `README.md` for an exported checkpoint. Nothing is stated that the run does not record.

    Args:
        source: the checkpoint.
        title: the name of the model.
        target: what the folder is for.
    """
    record = _run_of(source)
    metrics = [] if record is None else metrics_of_weights(source, record)
    header = yaml.safe_dump(_header(record, metrics, title, target), sort_keys=False, allow_unicode=True, width=1000)
    parts = [f"# {_code(title)}", target.files, _bullets(_architecture(source)), *_usage(target.usage)]
    if record is not None:
        parts += ["## Training", _bullets(_training(source, record)), *_command(record)]
        parts += _metrics_table(metrics)
        parts += ["## Versions", _bullets(_versions(record))] if record.summary else []
    return f"---\n{header}---\n\n" + "\n\n".join(parts) + "\n"


def _run_of(source: PretrainedWeights) -> RunRecord | None:
    """Return the run that a checkpoint belongs to; None for other folders, and for a checkpoint outside of a run."""
    folder = RunFolder(source.path.parent.parent)
    if source.path.suffix != ".ckpt" or source.path.parent != folder.checkpoints or not folder.config.exists():
        return None
    record = read_run(folder.path)
    return record if record.config else None


def _header(record: RunRecord | None, metrics: Sequence[CardMetric], title: str, target: Target) -> dict[str, Any]:
    header: dict[str, Any] = {"library_name": target.library, "pipeline_tag": target.pipeline}
    header["tags"] = list(dict.fromkeys(["bert-lightning", *target.tags]))
    if record is None:
        return header
    if languages := _languages(record):
        header["language"] = languages
    start = str(record.config.get("encoder") or record.config.get("init_from") or "")
    if re.fullmatch(r"hub:[\w.-]+/[\w.-]+", start, re.ASCII):
        header["base_model"] = start.removeprefix("hub:")
    if metrics:
        header["model-index"] = [{"name": _one_line(title), "results": _results(metrics, target.pipeline)}]
    return header


def _results(metrics: Sequence[CardMetric], task: str) -> list[dict[str, Any]]:
    """Return the metrics in the form of the hub's `model-index`: one result for each data set and split."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for metric in metrics:
        name, data, split = map(_one_line, (metric.name, metric.data, metric.split))
        entry = {"type": name.rpartition("/")[2], "value": float(f"{metric.value:.6g}"), "name": name}
        groups.setdefault((data, split), []).append(entry)
    return [
        {"task": {"type": task}, "dataset": {"name": data, "type": data, "split": split}, "metrics": entries}
        for (data, split), entries in groups.items()
    ]


def _languages(record: RunRecord) -> list[str]:
    """Return the languages of a corpus, if they are known.

    A data config states the language of its own corpus. If the command line chose another corpus, the stated language
    counts only if the command line stated it too.
    """
    origin = record.config.get("origin")
    given = origin.get("overrides") if isinstance(origin, dict) else None
    changed = [str(each) for each in given if "data.corpus" in str(each)] if isinstance(given, list) else [""]
    if changed and not any("language=" in each for each in changed):
        return []
    stated = flatten(record.config.get("data"), "data")
    found = [value for key, value in stated if key.endswith(".language") and _LANGUAGE.fullmatch(str(value))]
    return list(dict.fromkeys(map(str, found)))


def _architecture(source: PretrainedWeights) -> Iterator[tuple[str, str]]:
    config = source.config
    encoder = sum(tensor.numel() for name, tensor in source.tensors.items() if name.startswith("encoder."))
    yield (
        "Encoder",
        f"{config.num_hidden_layers} layers, {config.hidden_size} hidden units, {config.num_attention_heads} attention "
        f"heads, {encoder:,} parameters",
    )
    yield "Vocabulary", f"{vocabulary_size(source.tokenizer):,} tokens"
    yield "Positions", f"{config.max_position_embeddings:,}"
    if length := source.metadata.get("max_length"):
        yield "Length of texts in training", f"at most {_code(length)} tokens"
    if isinstance(task := source.metadata.get("task"), dict) and isinstance(labels := task.get("labels"), list):
        yield "Labels", ", ".join(map(_code, labels)) or "none: the answer is a number"


def _training(source: PretrainedWeights, record: RunRecord) -> Iterator[tuple[str, str]]:
    config, summary, choices = record.config, record.summary, record.choices()
    yield "Run", f"{_code(record.verb)}, seed {_code(config.get('seed'))}"
    for name, group in (("Variant", "variant"), ("Size", "model"), ("Task", "task"), ("Recipe", "finetuning")):
        if group in choices:
            yield name, _code(choices[group])
    for name, key in (("Started from", "encoder"), ("Started from", "init_from"), ("Teacher", "teacher")):
        if config.get(key):
            yield name, _code(config[key])
    yield "Data", ", ".join([_code(data_name(record)), *(f"from {_code(place)}" for place in _places(record))])
    weights = f"after {source.step:,} updates" if source.step is not None else "at an unknown update"
    if not summary:
        yield "Weights", f"{weights}; the run had not ended"
        return
    yield "Weights", f"{weights}, of {_count(summary.get('steps'))} in the whole run"
    budget = summary["budget"]
    yield "Budget", f"{_number(budget['spent'])} of {_number(budget['total'])} {_code(budget['unit'])}"
    yield "Tokens read in the whole run", _count(summary.get("tokens"))
    yield "FLOPs of the whole run", _number(summary.get("flops"))
    yield "Wall time", f"{_number(summary['wall_seconds'] / 60)} minutes on {_code(summary.get('processor'))}"


def _places(record: RunRecord) -> list[str]:
    """Return the places of the texts that a run was trained with, as its config names them."""
    part = "task" if record.verb == "finetune" else "data"
    stated = dict(flatten(record.config.get(part), part))
    if record.verb == "finetune":
        found = [stated.get("task.path")]
    else:
        found = [value for key, value in stated.items() if re.fullmatch(r"data\.corpus(\..+)?\.(path|name)", key)]
    return [str(place) for place in found if place]


def _command(record: RunRecord) -> list[str]:
    origin = record.config.get("origin")
    command = origin.get("command") if isinstance(origin, dict) else None
    if not isinstance(command, str) or not command.isprintable() or not command.startswith("bert-lightning "):
        return []
    return [f"```bash\n{command}\n```"]


def _metrics_table(metrics: Sequence[CardMetric]) -> list[str]:
    if not metrics:
        return []
    rows = ["| metric | data | split | value | 95 % interval | examples |", "| --- | --- | --- | --- | --- | --- |"]
    for metric in metrics:
        interval = "" if metric.low is None else f"{_number(metric.low)} to {_number(metric.high)}"
        names = (_code(name).replace("|", "\\|") for name in (metric.name, metric.data, metric.split))
        rows.append(f"| {' | '.join([*names, _number(metric.value), interval, _count(metric.examples, '')])} |")
    about = "These are the values of the exported weights."
    if any(metric.low is not None for metric in metrics):
        about += " The intervals are about new examples. They say nothing about other seeds."
    return ["## Metrics", about, "\n".join(rows)]


def _versions(record: RunRecord) -> Iterator[tuple[str, str]]:
    versions = record.summary.get("versions")
    for name, version in versions.items() if isinstance(versions, Mapping) else ():
        yield _code(name), _code(version)
    if commit := record.summary.get("commit"):
        yield "Commit of bert-lightning", _code(commit)


def _usage(examples: Sequence[tuple[str, str]]) -> list[str]:
    blocks = [f"{sentence}\n\n```python\n{code}\n```" for sentence, code in examples]
    return ["## Use", *blocks] if blocks else []


def _bullets(facts: Iterator[tuple[str, str]]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts)


def _code(value: object) -> str:
    """Return a value as code in Markdown, on one line, in which nothing can end the code."""
    return f"`{_one_line(value).replace('`', chr(39)) or ' '}`"


def _one_line(value: object) -> str:
    """Return the text of a value on one line, without control characters, and cut if it is very long."""
    text = " ".join("".join(char if char.isprintable() else " " for char in str(value)).split())
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _number(value: object) -> str:
    if not isinstance(value, int | float):
        return "not recorded"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def _count(value: object, missing: str = "not recorded") -> str:
    return f"{value:,}" if isinstance(value, int) else missing
