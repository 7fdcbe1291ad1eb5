"""Read the curves of runs from `metrics.csv`, and what each run spent until it reached a target."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from bert_lightning.compare.labelled_runs import LabelledRun
from bert_lightning.compare.measurements import Floats
from bert_lightning.compare.results import Curve, TimeToTarget
from bert_lightning.runs.predictions_file import BITS_PER_BYTE

MOST_POINTS = 300  # of one curve
_ACCURACY = "/accuracy"
_STEP, _TOKENS, _FLOPS, _SECONDS = "step", "train/tokens", "train/flops", "train/seconds"


def curves(runs: Sequence[LabelledRun]) -> list[Curve]:
    """Return the validation losses of each pretraining run over its budget, and its accuracy on evaluations."""
    found = []
    for run in runs:
        columns = read_log(run.record.path / "metrics.csv")
        for name in columns:
            if _is_drawn(name, columns):
                found.append(_curve(run, name, columns))
    return [curve for curve in found if curve.values]


def times_to_target(found: Sequence[Curve], baseline: str) -> list[TimeToTarget]:
    """Return what each run spent until its curve first reached a target: the worst final value of the baseline.

    The crossing is interpolated linearly between two validations. A run that never reached the target has None.
    """
    result = []
    for measure in dict.fromkeys(curve.measure for curve in found):
        own = [curve for curve in found if curve.measure == measure]
        ends = [curve.values[-1] for curve in own if curve.arm == baseline and math.isfinite(curve.values[-1])]
        if not ends or len({curve.arm for curve in own}) < 2:
            continue
        rises = measure.endswith(_ACCURACY)
        target = min(ends) if rises else max(ends)
        result += [_time_to(curve, target, rises) for curve in own]
    return result


def read_log(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Return the points (step, value) of each column of a log. Rows that are damaged or cut off are left out."""
    found: dict[str, list[tuple[float, float]]] = {}
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            whole = (line.replace("\0", "") for line in file if line.endswith("\n"))  # a number may be cut off, too
            for row in csv.DictReader(whole):
                step = _number(row.get(_STEP))
                if step is None or None in row.values():  # a row that a killed process did not finish
                    continue
                for name, text in row.items():
                    if name is not None and name != _STEP and (value := _number(text)) is not None:
                        found.setdefault(name, []).append((step, value))
    except (OSError, csv.Error):
        return found
    return found


def _is_drawn(name: str, columns: Collection[str]) -> bool:
    """Return whether a column becomes a curve. An accuracy without a loss is that of an evaluation."""
    alone = name.endswith(_ACCURACY) and f"{name.removesuffix(_ACCURACY)}/loss" not in columns
    return name.startswith("val/") and (alone or name.endswith(("/loss", "/bits_per_byte")))


def _curve(run: LabelledRun, name: str, columns: dict[str, list[tuple[float, float]]]) -> Curve:
    points = _thinned(columns[name])
    steps = [step for step, _ in points]
    axes = [_at(columns.get(axis, []), steps) for axis in (_TOKENS, _FLOPS, _SECONDS)]
    measure = BITS_PER_BYTE if name.endswith(BITS_PER_BYTE) else name
    return Curve(run.arm, run.seed, measure, [value for _, value in points], steps, *axes)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return at most `MOST_POINTS` points: the first, the last, and of each part the lowest and the highest value."""
    if len(points) <= MOST_POINTS:
        return points
    kept = {0, len(points) - 1}
    for start, end in pairwise(np.linspace(0, len(points), (MOST_POINTS - 2) // 2 + 1).astype(int).tolist()):
        part = range(start, end)
        kept |= {min(part, key=lambda i: points[i][1]), max(part, key=lambda i: points[i][1])}
    return [points[i] for i in sorted(kept)]


def _at(logged: list[tuple[float, float]], steps: list[float]) -> list[float]:
    """Return a cumulative quantity at each step, interpolated between its logged points; empty if it is not logged."""
    if not logged:
        return []
    x, y = np.array([(0.0, 0.0), *logged]).T
    if steps and steps[-1] > x[-1]:  # a validation after the last log: go on at the mean rate
        x, y = np.append(x, steps[-1]), np.append(y, y[-1] * steps[-1] / max(x[-1], 1))
    values: Floats = np.interp(steps, x, y)
    return [float(value) for value in values]


def _time_to(curve: Curve, target: float, rises: bool) -> TimeToTarget:
    reached = next((i for i, v in enumerate(curve.values) if (v >= target if rises else v <= target)), None)
    axes = (curve.steps, curve.tokens, curve.flops, curve.seconds)
    spent = [None if reached is None or not axis else _crossing(curve.values, axis, reached, target) for axis in axes]
    return TimeToTarget(curve.arm, curve.seed, curve.measure, target, *spent)


def _crossing(values: Sequence[float], axis: Sequence[float], i: int, target: float) -> float:
    if i == 0 or values[i - 1] == values[i]:
        return axis[i]
    part = (values[i - 1] - target) / (values[i - 1] - values[i])
    return axis[i - 1] + part * (axis[i] - axis[i - 1])


def _number(text: object) -> float | None:
    try:
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value
