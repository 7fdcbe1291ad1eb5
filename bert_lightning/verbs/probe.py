"""`bert-lightning probe`: train linear probes on the states of each layer of frozen encoders, and show one table."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig

from bert_lightning.compare.encoder_sources import short_locations
from bert_lightning.compare.paper_figures import check_matplotlib
from bert_lightning.config.building import resolved
from bert_lightning.errors import UserError
from bert_lightning.metrics import TaskMetrics
from bert_lightning.probes.layer_figure import FIGURE_FORMATS, draw_layers
from bert_lightning.probes.linear_probe import check_scikit_learn
from bert_lightning.probes.probe_examples import HELD_OUT, read_probe_examples
from bert_lightning.probes.probe_results import ProbeResult
from bert_lightning.probes.probe_table import FORMATS, as_text, write_results
from bert_lightning.probes.probed_encoder import ProbedEncoder
from bert_lightning.probes.probing import Probing
from bert_lightning.runs.atomic_writes import check_output_path, explain_output_errors, output_file
from bert_lightning.runs.pretrained import load_pretrained
from bert_lightning.runs.run_folder import newest_finished_run
from bert_lightning.tasks.checkpoint_choice import checkpoint_locations
from bert_lightning.tasks.data import task_metrics
from bert_lightning.tasks.output import note_cut


def run(config: DictConfig) -> None:
    """Probe all encoders, print the table, and write the files that are asked for."""
    check_scikit_learn()
    _check_file("output", config.output, FORMATS)
    _check_file("figure", config.figure, FIGURE_FORMATS)
    if config.figure is not None:
        check_matplotlib()
    title, found = probe(config)
    split = config.split or config.task.validation_split
    print(as_text(found, f"{title}, {split}", config.task.monitor))
    about = {"task": title, "split": split, "held_out_share": HELD_OUT, "seed": config.seed}
    if config.output is not None:
        path = Path(config.output).expanduser()
        with output_file(path) as file, explain_output_errors(path):
            write_results(found, about, path.suffix, file)
    if config.figure is not None:
        draw_layers(found, f"{title}, {split}", Path(config.figure).expanduser())
    if written := [name for name in (config.output, config.figure) if name is not None]:
        print(f"\nWritten: {', '.join(written)}")
    else:
        print("\nNext: add output=probes.json for all numbers, and figure=probes.png for the curves over layers")


def probe(config: DictConfig) -> tuple[str, ProbeResult]:
    """Return the name of the task, and the results of all encoders."""
    task = resolved(config.task)
    encoders = _encoders(config)
    examples = read_probe_examples(task, config.split, config.max_states)
    probing = Probing(
        examples,
        [encoder.input(task.max_length) for encoder in encoders],
        lambda: TaskMetrics(task.term, task_metrics(task, examples.labels)),
        control_task=True,
    )
    total = len(examples.train) + len(examples.measured)
    for encoder, cut in zip(encoders, probing.num_cut, strict=True):
        if not encoder.random:
            note_cut(cut, total, f"examples of {encoder.name}", task.max_length)
    found = []
    for number, encoder in enumerate(encoders):
        print(f"# {encoder.name} ({number + 1} of {len(encoders)})", file=sys.stderr, flush=True)
        start = time.monotonic()
        found.append(encoder.probe(probing, number, config.seed, config.batch_tokens))
        print(f"#   {len(found[-1].layers)} layers in {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return _task_name(config), probing.result(found)


def _encoders(config: DictConfig) -> list[ProbedEncoder]:
    """Return the encoders that `run` names, and one with random weights for each architecture if that is asked for."""
    locations = _locations(config)
    names = short_locations(locations, taken=("model", "last.ckpt", "best.ckpt"))
    names = {location: name.removeprefix("pkg:").removesuffix("/model") for location, name in names.items()}
    found = [ProbedEncoder(names[location], location, load_pretrained(location)) for location in locations]
    if not config.random_weights:
        return found
    fresh: list[ProbedEncoder] = []
    for encoder in found:
        known = [(other.source.config, other.source.tokenizer.to_str()) for other in fresh]
        if (encoder.source.config, encoder.source.tokenizer.to_str()) not in known:
            fresh.append(ProbedEncoder(encoder.name, encoder.location, encoder.source, random=True))
    several = len(fresh) > 1
    return [
        *found,
        *(
            ProbedEncoder(f"random {each.name}" if several else "random weights", each.location, each.source, True)
            for each in fresh
        ),
    ]


def _locations(config: DictConfig) -> list[str]:
    """Return the locations that `run` names, with the folder of the newest run in the place of `newest`."""
    given = list(config.run) if isinstance(config.run, ListConfig) else [config.run]
    return checkpoint_locations([_newest(config) if each == "newest" else each for each in given], None)


def _newest(config: DictConfig) -> str:
    found = str(newest_finished_run(Path(config.runs), ("pretrain", "finetune")))
    print(f"# {found}", file=sys.stderr)
    return found


def _task_name(config: DictConfig) -> str:
    """Return the option of the group `task`, or else the term of the task."""
    given = HydraConfig.get() if HydraConfig.initialized() else None
    return str((given and given.runtime.choices.get("task")) or config.task.term)


def _check_file(key: str, name: str | None, formats: Sequence[str]) -> None:
    """Check that a file can be written, before the work that takes minutes.

    Raises:
        UserError: if its ending is unknown, or its path is that of a folder or lies in none.
    """
    if name is not None and Path(name).suffix not in formats:
        raise UserError(f"{key}={name} must end in {' or '.join(formats)}")
    check_output_path(key, name)
