"""Find what a run measured with the very weights that are exported, with intervals where examples have values."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bert_lightning.compare.alignment import cluster_values
from bert_lightning.compare.curves import read_log
from bert_lightning.compare.intervals import Sample, examples_interval
from bert_lightning.compare.measurements import Measurement
from bert_lightning.compare.task_measurements import task_measurements
from bert_lightning.compare.word_measurements import word_measurement
from bert_lightning.errors import UserError
from bert_lightning.runs.predictions_file import BITS_PER_BYTE, MASKED_WORDS
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.runs.run_files import read_json
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.run_records import RunRecord
from bert_lightning.runtime.environment import note

VALIDATION = "validation"
# Logged values that a card leaves out: parts of the bits per byte, and those of another model.
_DETAIL = re.compile(r"/bits_per_byte/|/unigram_bits_per_byte$")


@dataclass(frozen=True)
class CardMetric:
    """A measured value. `low` and `high` are its 95 % interval over new examples, of the same weights."""

    name: str
    data: str
    split: str
    value: float
    examples: int | None = None
    low: float | None = None
    high: float | None = None


def metrics_of_weights(source: PretrainedWeights, record: RunRecord) -> list[CardMetric]:
    """Return what the run measured with these weights. Values of other checkpoints of the run are left out.

    Args:
        source: the weights, which are a checkpoint of the run.
        record: the run.
    """
    measured = list(_of_examples(source, record))
    seen = {(metric.data, _short(metric.name)) for metric in measured if metric.split == VALIDATION}
    logged = [
        CardMetric(name, _data_of(name, record), VALIDATION, value)
        for name, value in sorted(_logged(source, record).items())
        if math.isfinite(value) and not _DETAIL.search(name)
    ]
    return measured + [metric for metric in logged if (metric.data, _short(metric.name)) not in seen]


def data_name(record: RunRecord) -> str:
    """Return the name of the data that a run was trained with: that of its corpus, or that of its task."""
    if record.verb == "finetune":
        return str(record.choices().get("task", "task"))
    data = record.config.get("data")
    return str(data.get("name", "data") if isinstance(data, dict) else "data")


def _short(name: str) -> str:
    return name.rpartition("/")[2]


def _logged(source: PretrainedWeights, record: RunRecord) -> dict[str, float]:
    """Return the validation metrics of these weights, from the summary or else from the log."""
    if source.step is None:
        return {}
    if record.summary.get("steps") == source.step:
        found = record.summary["metrics"]
    else:  # the log counts updates from 0
        log = read_log(record.path / "metrics.csv")
        found = {name: value for name, points in log.items() for step, value in points if step == source.step - 1}
    return {name: float(value) for name, value in found.items() if name.startswith("val/")}


def _data_of(name: str, record: RunRecord) -> str:
    """Return the name of the data of a logged metric: an evaluation's own, or else those that the run trained with."""
    evaluations, part = record.config.get("evaluations"), name.split("/")[1]
    return part if isinstance(evaluations, dict) and part in evaluations else data_name(record)


def _of_examples(source: PretrainedWeights, record: RunRecord) -> Iterator[CardMetric]:
    """Yield the metrics of each file of predictions of these weights."""
    for path in sorted(RunFolder(record.path).predictions.glob("*.jsonl")):
        try:
            about = read_json(path.with_suffix(".json"))
            if not _is_of(about, path, source):
                continue
            if path.stem == MASKED_WORDS:
                found = [(BITS_PER_BYTE, data_name(record), word_measurement(path, "", 0))]
            else:
                task = str(about.get("task"))
                measurements = task_measurements(record.path, "", 0, None, path.stem)
                found = [(each.measure.removeprefix(f"{task}/"), task, each) for each in measurements]
        except UserError as error:
            note(f"{error}. It is left out of the model card")
            continue
        for name, data, measurement in found:
            if math.isfinite(measurement.value):
                yield _with_interval(name, data, str(about.get("split")), measurement)


def _is_of(about: dict[str, Any], path: Path, source: PretrainedWeights) -> bool:
    """Return whether a file of predictions is of these weights. A file `best.ckpt` may have been replaced since."""
    weights, named = source.path.resolve(), about.get("checkpoint")
    if named == f"step-{source.step}.ckpt":
        return True
    return named == weights.name and path.stat().st_mtime >= weights.stat().st_mtime


def _with_interval(name: str, data: str, split: str, measurement: Measurement) -> CardMetric:
    values, value = measurement.values, measurement.value
    if values is None:
        return CardMetric(name, data, split, value)
    count = len(values)
    if measurement.clusters is not None:
        values = cluster_values(values, np.unique(measurement.clusters, return_inverse=True)[1])
    if len(values) < 2 or not np.isfinite(values).all():
        return CardMetric(name, data, split, value, count)
    zeros = Sample(np.zeros(1), (np.zeros((1, len(values))),))
    interval = examples_interval(Sample(np.array([value]), (values[None],)), zeros)  # the difference from 0
    return CardMetric(name, data, split, value, count, interval.low, interval.high)
