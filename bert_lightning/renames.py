"""Old names of config keys, options, `_target_`s and pretraining terms, with their new names.

A user who gives an old name reads one line with the new name. Old names in a run's `config.yaml` and in a checkpoint
are translated when the file is read.

To rename something, add one entry `old: new`. A name that changes again gets a second entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

# Old names of config groups, and of their options. The keys of OPTIONS are today's names of the groups.
GROUPS = {"recipe": "finetuning"}
OPTIONS: dict[str, dict[str, str]] = {
    "finetuning": {"of_encoder": "from_encoder"},
    "masking": {"falling": "decreasing"},
    "model": {"half": "distilbert-base", "deep": "cramming-base"},
    "objective": {"replaced": "rtd"},
}

# Dotted config key -> new name of its last part. The parts before it have today's names; * stands for any of them.
KEYS = {
    "start": "init_from",
    "published.recipe": "finetuning",
    "callbacks.fast_products": "onednn_matmul",
    "data.corpus*.begins": "document_start",
    "examples*.lone_prob": "single_sentence_prob",
    "task.kind": "type",
}

# Terms of pretraining objectives. A term names config keys, metrics and tensors in checkpoints.
TERMS = {"replaced": "rtd", "hidden_direction": "hidden_cosine"}

# Modules, classes and functions that a `_target_` may name. The entry of a module applies to everything in it.
TARGETS = {
    f"bert_lightning.{old}": f"bert_lightning.{new}"
    for old, new in {
        "budget.Operations": "budget.Flops",
        "callbacks.budget.Spending": "callbacks.budget.BudgetCallback",
        "callbacks.checkpoints.Best": "callbacks.checkpoints.BestCheckpoint",
        "callbacks.exact": "callbacks.exact_resume",
        "callbacks.exact_resume.Exact": "callbacks.exact_resume.ExactResume",
        "callbacks.fast_products": "callbacks.onednn_matmul",
        "callbacks.onednn_matmul.FastProducts": "callbacks.onednn_matmul.OneDnnMatmul",
        "callbacks.spending": "callbacks.budget",
        "console.sweeps.OneFolder": "console.sweeps.SharedSweepFolder",
        "data.blocks": "data.pretraining.blocks",
        "data.labelled.kinds": "data.labelled.task_types",
        "data.labelled.rows.read_table": "text.files.rows.read_rows",
        "data.labelled.texts.Classified": "data.labelled.texts.TextClassification",
        "data.labelled.texts.ClassifiedPair": "data.labelled.texts.PairClassification",
        "data.labelled.texts.EmbeddedPair": "data.labelled.texts.TextPairSimilarity",
        "data.labelled.texts.ScoredPair": "data.labelled.texts.TextPairRegression",
        "data.masking": "data.pretraining.masking",
        "data.packing": "data.pretraining.packing",
        "data.pairs": "data.pretraining.pairs",
        "data.pretraining.packing.Packed": "data.pretraining.packing.PackedSequences",
        "data.pretraining.pairs.SentenceOrder": "data.pretraining.pairs.SentenceOrderPairs",
        "data.phases": "data.pretraining.phases",
        "metrics.tasks": "metrics.task_metrics",
        "metrics.terms": "metrics.term_metrics",
        "objectives.distillation.HiddenDirection": "objectives.distillation.HiddenCosine",
        "objectives.downstream.CosineError": "objectives.similarity.CosineError",
        "objectives.downstream.InBatchContrast": "objectives.similarity.InBatchContrast",
        "objectives.downstream.Similarity": "objectives.similarity.Similarity",
        "objectives.downstream.Tagging": "objectives.downstream.TokenClassification",
        "objectives.pretraining.NextSentence": "objectives.pretraining.NextSentencePrediction",
        "objectives.pretraining.SentenceOrder": "objectives.pretraining.SentenceOrderPrediction",
        "objectives.replaced": "objectives.replaced_token_detection",
        "objectives.replaced_token_detection.ReplacedTokens": (
            "objectives.replaced_token_detection.ReplacedTokenDetection"
        ),
        "objectives.spans": "objectives.span_boundary",
        "runs.loggers.csv": "runs.loggers.csv_logger",
        "runs.loggers.tensorboard": "runs.loggers.tensorboard_logger",
        "runs.loggers.wandb": "runs.loggers.wandb_logger",
        "runs.start": "runs.warm_start",
        "text.corpora.Rows": "text.corpora.TableFiles",
        "text.tokenizers.LoadTokenizer": "text.tokenizers.recipes.LoadTokenizer",
        "text.tokenizers.TrainWordPiece": "text.tokenizers.recipes.TrainWordPiece",
        "text.training": "text.tokenizers.bpe_and_unigram",
    }.items()
}

# Classes whose state is in a checkpoint under the name of the class: the data module, and the callbacks.
STATES = {"PretrainingDataModule": "StreamDataModule"} | {
    old.rpartition(".")[2]: new.rpartition(".")[2]
    for old, new in TARGETS.items()
    if old.startswith("bert_lightning.callbacks.") and old.rpartition(".")[2][0].isupper()
}

_DEEPEST = 64  # most levels that are translated; configs of older versions have 6


def new_target(target: str) -> str:
    """Return today's name of a `_target_`; the same name if it never changed."""
    for end in range(len(target), 0, -1):
        if (end == len(target) or target[end] == ".") and (new := TARGETS.get(target[:end])):
            return new_target(new + target[end:])
    return target


def new_key(key: str) -> str:
    """Return today's name of a dotted config key; the same name if it never changed."""
    path = ""
    for part in key.split("."):
        path = _last_renamed(f"{path}.{part}".lstrip("."))
    return path


def new_tensor(name: str) -> str:
    """Return today's name of a tensor in a checkpoint; the same name if it never changed."""
    *start, term, rest = name.split(".", 3) if name.startswith("objective.terms.") else (name, "", "")
    return ".".join([*start, TERMS[term], rest]) if term in TERMS else name


def new_metric(name: str) -> str:
    """Return today's name of a metric, such as `val/mlm/loss`; the same name if it never changed."""
    split, *term = name.split("/", 2)
    return "/".join([split, TERMS[term[0]], term[1]]) if len(term) == 2 and term[0] in TERMS else name


def new_state(key: str) -> str:
    """Return today's key of the state that a callback or the data module keeps in a checkpoint.

    The key begins with the name of the class. The key of a `ModelCheckpoint` also contains its monitored metric.
    """
    name, rest = re.fullmatch(r"(\w*)(.*)", key, re.DOTALL).groups("")  # type: ignore[union-attr]
    if name in STATES:
        return new_state(STATES[name] + rest)
    return name + re.sub(r"'(val/[^']+)'", lambda monitored: f"'{new_metric(monitored[1])}'", rest)


def translated(value: Any, key: str = "", depth: int = 0) -> Any:
    """Return a copy of a config, or of a part of it, with today's names of its keys and targets.

    The record of the command line (`origin`) is not changed.

    Args:
        value: the config as plain data, or a mapping of dotted keys to values.
        key: dotted key of `value` in its config; empty for the whole.
        depth: number of levels above `value`.
    """
    if depth > _DEEPEST or key == "origin" or key.startswith("origin."):
        return value
    if isinstance(value, Mapping):
        return dict(_translated_items(value, key, depth))
    if isinstance(value, list):
        return [translated(child, f"{key}.{number}".lstrip("."), depth + 1) for number, child in enumerate(value)]
    if isinstance(value, str) and key.rpartition(".")[2] == "_target_":
        return new_target(value)
    if isinstance(value, str) and key.rpartition(".")[2] in ("metric", "monitor"):  # `monitor` is a callback's
        return new_metric(value)
    return value


def renamed(override: str) -> str | None:
    """Return a sentence that gives today's name of a config key, a group or an option; None if nothing changed.

    Args:
        override: `key=value`, `key` alone, or `group=option`.
    """
    given = override.lstrip("+~")
    key, equals, value = given.partition("=")
    group = GROUPS.get(key, key)
    names = OPTIONS.get(group, {})
    option = ",".join(names.get(part, part) for part in value.split(","))
    new = f"{group if group != key else new_key(key)}{equals}{option}"
    return None if new == given else f"{given} is now {new}"


def _translated_items(values: Mapping[Any, Any], key: str, depth: int) -> Iterator[tuple[Any, Any]]:
    for name, value in values.items():
        path = new_key(f"{key}.{name}".lstrip("."))
        ours = path[len(key) :].lstrip(".") if isinstance(name, str) else name
        yield ours, translated(value, path, depth + 1)


def _last_renamed(path: str) -> str:
    """Return a dotted key with today's name of its last part."""
    parent, dot, last = path.rpartition(".")
    if parent in ("objective.terms", "metrics") and last in TERMS:
        return f"{parent}{dot}{TERMS[last]}"
    new = next((new for old, new in KEYS.items() if fnmatchcase(path, old)), last)
    return path if new == last else _last_renamed(f"{parent}{dot}{new}")
