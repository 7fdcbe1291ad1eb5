"""Read what runs measured: the values of the last weights, those of the examples, and what the runs cost."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bert_lightning.compare.labelled_runs import LabelledRun
from bert_lightning.compare.measurements import Measurement
from bert_lightning.compare.pairs import SeedSeconds
from bert_lightning.compare.results import Measure
from bert_lightning.compare.task_measurements import task_measurements
from bert_lightning.compare.word_measurements import word_measurement
from bert_lightning.errors import UserError
from bert_lightning.runs.predictions_file import BITS_PER_BYTE, MASKED_WORDS
from bert_lightning.runs.run_files import read_json
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.run_records import ENDED

_VALIDATION = "validation"
_LOWER_IS_BETTER = re.compile(r"(^|[/_])(loss|perplexity|bits_per_byte|error)$")
_IN_PERCENT = re.compile(r"(^|[/_])(accuracy|f1|exact|precision|recall)$")
_CORRELATIONS = re.compile(r"(^|[/_])(matthews|pearson|spearman)$")
_UNITS = {"loss": "nats", "bits_per_byte": "bits per byte"}


@dataclass(frozen=True)
class Measured:
    """The values that the runs measured. `notes` has for the folder of a run why it, or a part of it, is left out."""

    measurements: list[Measurement] = field(default_factory=list)
    notes: dict[Path, list[str]] = field(default_factory=dict)


def measure_runs(runs: Sequence[LabelledRun]) -> Measured:
    """Return the measurements of all ended runs. A run that has not ended, or is damaged, is noted."""
    measured = Measured()
    for run in runs:
        path = run.record.path
        if run.record.state != ENDED:
            measured.notes.setdefault(path, []).append(f"left out: it is {run.record.state}")
            continue
        if not run.record.summary:
            measured.notes.setdefault(path, []).append("left out: its summary cannot be read")
            continue
        if run.task is None:
            measured.measurements.extend(_pretraining_values(run))
        try:
            measured.measurements.extend(_predicted_values(run))
        except UserError as error:
            measured.notes.setdefault(path, []).append(str(error))
            measured.measurements.extend(_task_values(run))
    return measured


def describe(name: str, measurements: Iterable[Measurement]) -> Measure:
    """Return what is known of a measure by its name: direction, unit and display."""
    own = [m for m in measurements if m.measure == name]
    counts = {len(m.examples) for m in own if m.examples is not None}
    last = name.rpartition("/")[2]
    percent, correlation = _IN_PERCENT.search(name) is not None, _CORRELATIONS.search(name) is not None
    pretraining = name.startswith(("val/", "words/"))
    task, _, metric = name.rpartition("/")
    label = f"{task.removeprefix('val/')} {metric.replace('_', ' ')}".strip()
    return Measure(
        name=name,
        label="masked words" if name == BITS_PER_BYTE else label,
        higher_is_better=_LOWER_IS_BETTER.search(name) is None,
        unit="%" if percent else _UNITS.get(last, ""),
        factor=100.0 if percent or correlation else 1.0,
        decimals=1 if percent or correlation else 3,
        examples=counts.pop() if len(counts) == 1 else None,
        kind="pretraining" if pretraining else "task",
    )


def ordered_measures(measurements: Sequence[Measurement], first: Iterable[str]) -> list[Measure]:
    """Return the measures: those of tasks, then those of pretraining. A name in `first` leads its task."""
    leading = set(first)
    names = dict.fromkeys(m.measure for m in measurements)
    measures = [describe(name, measurements) for name in names]
    tasks = list(dict.fromkeys(m.name.rpartition("/")[0] for m in measures))
    place = {name: i for i, name in enumerate(names)}
    return sorted(
        measures,
        key=lambda m: (m.kind != "task", tasks.index(m.name.rpartition("/")[0]), m.name not in leading,
                       not m.higher_is_better and m.kind == "task", place[m.name]),
    )  # fmt: skip


def monitored_measures(runs: Sequence[LabelledRun]) -> list[str]:
    """Return the measure that each fine-tuned run monitors, such as `sst2/accuracy`."""
    tasks = [(run.task, run.record.config.get("task")) for run in runs if run.task is not None]
    return [f"{name}/{task.get('monitor')}" for name, task in tasks if isinstance(task, dict)]


def costs_of_arm(runs: Sequence[LabelledRun]) -> dict[str, float]:
    """Return the mean costs of the pretraining runs of one arm; of its fine-tuning runs if it has no others."""
    ended = [run for run in runs if run.record.summary]
    own = [run for run in ended if run.task is None] or ended
    found: dict[str, list[float]] = {}
    for run in own:
        summary = run.record.summary
        throughput, parameters = _mapping(summary.get("throughput")), _mapping(summary.get("parameters"))
        tokens, seconds = summary.get("tokens"), summary.get("wall_seconds")
        values = {
            "parameters": parameters.get("encoder"),
            "tokens": tokens,
            "flops": summary.get("flops"),
            "tokens_per_second": throughput.get("tokens_per_second"),
            "mfu": throughput.get("mfu"),
            "memory_bytes": throughput.get("peak_memory"),
            "wall_seconds": seconds,
        }
        for key, value in values.items():
            if isinstance(value, int | float) and math.isfinite(value):
                found.setdefault(key, []).append(float(value))
    return {key: statistics.fmean(values) for key, values in found.items()}


def seconds_of_seeds(runs: Sequence[LabelledRun]) -> SeedSeconds:
    """Return what one more pretraining seed of each arm costs, with its fine-tuning, and one more fine-tuning run."""
    arms: dict[str, float] = {}
    finetuning: dict[str, list[float]] = {}
    for arm in dict.fromkeys(run.arm for run in runs):
        own = [run for run in runs if run.arm == arm and run.seconds is not None]
        seeds = {run.seed for run in own}
        if seeds:
            arms[arm] = sum(run.seconds or 0.0 for run in own) / len(seeds)
    for run in runs:
        if run.task is not None and (seconds := run.seconds) is not None:
            for measure in run.record.summary.get("metrics", {}):
                finetuning.setdefault(f"{run.task}/{measure.rpartition('/')[2]}", []).append(seconds)
    return SeedSeconds(arms, {name: statistics.fmean(values) for name, values in finetuning.items()})


def _pretraining_values(run: LabelledRun) -> list[Measurement]:
    """Return the losses and accuracies that a pretraining has at its end. Perplexity is the exponential of a loss."""
    metrics = run.record.summary.get("metrics", {})
    return [
        Measurement(run.arm, run.seed, None, name, _number(value))
        for name, value in sorted(metrics.items())
        if name.startswith("val/") and name.endswith(("/loss", "/accuracy")) and not name.startswith("val/words/")
    ]


def _predicted_values(run: LabelledRun) -> list[Measurement]:
    """Return the measurements of all files of predictions of a run. Those of its own validation have no addition."""
    found = []
    for path in sorted(RunFolder(run.record.path).predictions.glob("*.jsonl")):
        if path.name.startswith("."):
            continue
        if path.stem == MASKED_WORDS:
            found.append(word_measurement(path, run.arm, run.seed))
            continue
        own = path.stem == _VALIDATION
        task = run.task if own else None
        values = task_measurements(run.record.path, run.arm, run.seed, run.finetuning_seed, path.stem, task)
        about = read_json(path.with_suffix(".json"))
        if about.get("task_type") == "questions":
            values = list(map(_as_fraction, values))
        best = str(about.get("checkpoint")).startswith("best")
        found += [value if own else _named(value, path.stem, run, best) for value in values]
    if run.task is not None and not any(m.measure.startswith(f"{run.task}/") for m in found):
        found += _task_values(run)
    return found


def _named(value: Measurement, file: str, run: LabelledRun, best: bool) -> Measurement:
    """Return a measurement whose name tells it from the validation of the last weights."""
    task, _, metric = value.measure.rpartition("/")
    if run.task is None:  # an evaluation of a pretrained encoder
        return replace(value, measure=f"{task} (best checkpoint)/{metric}") if best else value
    return replace(value, measure=f"{task} ({file})/{metric}")


def _as_fraction(value: Measurement) -> Measurement:
    """Return exact match and F1 of questions, which are official in %, as fractions, like every other score."""
    if not value.measure.endswith(("exact", "f1")):
        return value
    return replace(value, value=value.value / 100, values=None if value.values is None else value.values / 100)


def _task_values(run: LabelledRun) -> list[Measurement]:
    """Return the final metrics of a fine-tuned run that keeps no predictions, as whole values."""
    if run.task is None:
        return []
    metrics = run.record.summary.get("metrics", {})
    values = [
        Measurement(run.arm, run.seed, run.finetuning_seed, f"{run.task}/{name.rpartition('/')[2]}", _number(value))
        for name, value in sorted(metrics.items())
        if name.startswith("val/")
    ]
    target = str(run.record.settings().get("task.type._target_"))
    return [_as_fraction(value) for value in values] if target.endswith(".Questions") else values


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
