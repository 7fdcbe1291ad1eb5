"""Read the predictions of a fine-tuned run as measurements: the task's metrics with the values of the examples."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bert_lightning.compare import example_values
from bert_lightning.compare.measurements import Floats, Measurement
from bert_lightning.data.labelled.conll import entities
from bert_lightning.data.labelled.rankings import RANKING_MEASURES
from bert_lightning.errors import UserError
from bert_lightning.runs.predictions_file import Predictions, read_predictions
from bert_lightning.runs.run_folder import RunFolder

Rows = Sequence[Mapping[str, Any]]
_MOST_CLASSES = 200  # the counts of more classes take seconds for each metric
# The value of a metric, and the values of the examples, whose mean it is. NaN: the example does not count.
Found = tuple[float, Floats | None]


def task_measurements(
    folder: Path,
    arm: str,
    seed: int,
    finetuning_seed: int | None,
    name: str = "validation",
    task: str | None = None,
) -> list[Measurement]:
    """Return a measurement for each metric of a run's predictions, such as `sst2/accuracy`.

    The units are those of the metrics: `exact` and `f1` of questions are in %. The value is NaN if the metric is. The
    values of the examples are None for a metric that this module does not know, such as one of the user's own, for a
    loss that cannot be computed from the predictions, and for F1 and Matthews' correlation of over 200 classes.

    Args:
        folder: the folder of the run.
        arm: the arm of the measurements.
        seed: the pretraining seed of the measurements.
        finetuning_seed: the fine-tuning seed of the measurements.
        name: the name of the file of predictions.
        task: the name of the task in the measures; None: the name in the file.

    Raises:
        UserError: if the file is missing or damaged.
    """
    path = RunFolder(folder).predictions / f"{name}.jsonl"
    if not path.exists():
        again = f"bert-lightning evaluate run={folder}/checkpoints/last.ckpt"
        raise UserError(f"{path} does not exist, so this run has no values of examples: make it by {again}")
    kept = read_predictions(path)
    ids = [row["id"] for row in kept.rows]
    clusters = [row.get("cluster") for row in kept.rows]
    has_clusters = bool(clusters) and all(isinstance(cluster, str) for cluster in clusters)
    measurements = []
    for metric, (value, values) in metric_values(kept).items():
        measure = f"{task or kept.about['task']}/{metric}"
        if values is None or np.isnan(values).all():
            measurements.append(Measurement(arm, seed, finetuning_seed, measure, value))
            continue
        counted = np.flatnonzero(~np.isnan(values))
        examples = tuple(ids[i] for i in counted)
        groups = tuple(str(clusters[i]) for i in counted) if has_clusters else None
        measurements.append(Measurement(arm, seed, finetuning_seed, measure, value, examples, values[counted], groups))
    return measurements


def metric_values(kept: Predictions, only: str | None = None) -> dict[str, Found]:
    """Return the value of each official metric, and the values of the examples. `only` names the one that is wanted.

    The values of the examples are None if they are not known, or if their mean is not the official value. A loss with
    class weights is such a case. For a metric over some examples only, such as those with an answer, the values of the
    others are NaN.

    Raises:
        UserError: if the rows are not those of the task type.
    """
    wanted = {name: value for name, value in kept.about["metrics"].items() if only in (None, name)}
    official = {name: math.nan if value is None else value for name, value in wanted.items()}
    compute = _OF_TASK_TYPE.get(str(kept.about.get("task_type")), {})
    found: dict[str, Found] = {}
    try:
        for name, value in official.items():
            known = compute.get(name) or _OF_ANY_TASK.get(name)
            mine = known(kept.rows, kept.about) if known and kept.rows and math.isfinite(value) else None
            found[name] = mine if mine and _equal(mine[0], value) else (float(value), None)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise UserError(
            f"{kept.path} is damaged ({reason}): measure the run again with bert-lightning evaluate"
        ) from None
    return found


def _equal(mine: float, official: float) -> bool:
    """Return whether two values differ by rounding only. A summary has values in float32."""
    return abs(mine - official) <= 1e-5 * max(1.0, abs(official))


def _mean(values: Floats) -> Found:
    return float(np.nanmean(values)) if len(values) and not np.isnan(values).all() else 0.0, values


def _accuracy(rows: Rows, about: Mapping[str, Any]) -> Found:
    return _mean(np.array([float(row["prediction"] == row["gold"]) for row in rows]))


def _pair_accuracy(rows: Rows, about: Mapping[str, Any]) -> Found:
    return _mean(np.array([float(row["correct"]) for row in rows]))  # a tie counts one half


def _word_accuracy(rows: Rows, about: Mapping[str, Any]) -> Found:
    """Return the fraction of all words that have the right label, with the values of the sentences."""
    right = [sum(map(operator.eq, row["prediction"], row["gold"])) for row in rows]
    words = [len(row["gold"]) for row in rows]
    return example_values.ratio_metric(np.array(right, dtype=np.float64), np.array(words, dtype=np.float64))


def _cross_entropy(rows: Rows, about: Mapping[str, Any]) -> Found:
    """Return the negative logarithm of the probability of the true class or choice. A float32 is at least 1e-45."""
    return _mean(-np.log(np.maximum([row["scores"][row["gold"]] for row in rows], 1e-45)))


def _squared_error(rows: Rows, about: Mapping[str, Any]) -> Found:
    found, gold = _numbers(rows)
    return _mean((found - gold) ** 2)


def _numbers(rows: Rows) -> tuple[Floats, Floats]:
    found, gold = (np.array([float(row[key]) for row in rows]) for key in ("prediction", "gold"))
    return found, gold


def _of_classes(metric: Callable[[example_values.Counts, Mapping[str, Any]], float]) -> Callable[..., Found]:
    def compute(rows: Rows, about: Mapping[str, Any]) -> Found:
        index = {label: i for i, label in enumerate(about["labels"])}
        if len(index) > _MOST_CLASSES:
            return math.nan, None
        gold, found = (np.array([index[row[key]] for row in rows]) for key in ("gold", "prediction"))
        return example_values.class_metric(gold, found, len(index), lambda counts: metric(counts, about))

    return compute


def _f1(counts: example_values.Counts, about: Mapping[str, Any]) -> float:
    return float(example_values.class_f1(counts)[about["labels"].index(about["positive"])])


def _of_numbers(metric: Callable[[Floats, Floats], Found]) -> Callable[..., Found]:
    return lambda rows, about: metric(*_numbers(rows))


def _of_entities(over: tuple[float, float, float], under: tuple[float, float, float]) -> Callable[..., Found]:
    """Return a function that computes a ratio of weighted counts: correct, predicted and true entities."""

    def compute(rows: Rows, about: Mapping[str, Any]) -> Found:
        pairs = [(entities(row["prediction"]), entities(row["gold"])) for row in rows]
        counts = np.array([(len(found & right), len(found), len(right)) for found, right in pairs], dtype=np.float64)
        return example_values.ratio_metric(counts @ np.array(over), counts @ np.array(under))

    return compute


def _of_questions(column: int, answerable: bool | None = None) -> Callable[..., Found]:
    """Return a function that computes exact match (column 0) or F1 (column 1) in %.

    `answerable` selects the questions with an answer, or those without; None selects all.
    """

    def compute(rows: Rows, about: Mapping[str, Any]) -> Found:
        from bert_lightning.metrics.squad import question_scores  # imports torch, which other tasks do not need

        unanswerable = "no_answer_f1" in about["metrics"]
        scores = np.array([question_scores(row["prediction"], row["gold"], unanswerable) for row in rows])
        counts = answerable is None or (scores[:, 2] == answerable)
        return _mean(np.where(counts, 100 * scores[:, column], np.nan))

    return compute


def _ranking_measure(name: str) -> Callable[..., Found]:
    return lambda rows, about: _mean(np.array([float(row[name]) for row in rows]))


_OF_ANY_TASK: dict[str, Callable[[Rows, Mapping[str, Any]], Found]] = {"accuracy": _accuracy}
_CLASSES = {
    "loss": _cross_entropy,
    "f1": _of_classes(_f1),
    "macro_f1": _of_classes(lambda counts, _: example_values.macro_f1(counts)),
    "matthews": _of_classes(lambda counts, _: example_values.matthews(counts)),
}
_NUMBERS = {
    "loss": _squared_error,
    "pearson": _of_numbers(example_values.pearson),
    "spearman": _of_numbers(example_values.spearman),
}
_RANKINGS = {name: _ranking_measure(name) for name in RANKING_MEASURES}
_OF_TASK_TYPE: dict[str, dict[str, Callable[..., Found]]] = {
    "text_classification": _CLASSES,
    "pair_classification": _CLASSES,
    "choices": {"loss": _cross_entropy},
    "text_pair_regression": _NUMBERS,
    "text_pair_similarity": _NUMBERS,
    "tagged_words": {
        "precision": _of_entities((1, 0, 0), (0, 1, 0)),
        "recall": _of_entities((1, 0, 0), (0, 0, 1)),
        "f1": _of_entities((2, 0, 0), (0, 1, 1)),
    },
    "word_classification": {"accuracy": _word_accuracy},
    "contrastive_pairs": _RANKINGS,
    "retrieval": _RANKINGS,
    "minimal_pairs": {"accuracy": _pair_accuracy},
    "questions": {
        f"{prefix}{name}": _of_questions(column, answerable)
        for prefix, answerable in (("", None), ("has_answer_", True), ("no_answer_", False))
        for column, name in enumerate(("exact", "f1"))
    },
}
