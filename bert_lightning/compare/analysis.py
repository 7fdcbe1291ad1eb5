"""From measured values to what a comparison says: cells, differences, power, and the answer in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations

import numpy as np

from bert_lightning.compare.alignment import AlignedArm, align, average
from bert_lightning.compare.intervals import LEVEL, mean_interval
from bert_lightning.compare.measurements import Measurement
from bert_lightning.compare.multiple_tests import holm, may_be_best
from bert_lightning.compare.pairs import Draws, Pair, SeedSeconds, compare_pair, difference, pooled
from bert_lightning.compare.power import best_finetuning_seeds, seed_deviations
from bert_lightning.compare.resampling import example_draws, seed_draws
from bert_lightning.compare.results import Cell, Difference, Measure, Power, SeedValue
from bert_lightning.compare.sentences import Findings, answer, to_settle

AVERAGE = "average"


@dataclass(frozen=True)
class Analysis:
    """The statistics of a comparison. `measures` are the given ones and, with two or more tasks, their average."""

    measures: list[Measure]
    cells: list[Cell]
    differences: list[Difference]
    power: list[Power]
    answer: str
    to_settle: str
    warnings: list[str]


def analyse(
    measurements: Sequence[Measurement],
    measures: Sequence[Measure],
    baseline: str,
    primary: str | None = None,
    seconds: SeedSeconds | None = None,
    paired: bool = False,
    seed: int = 0,
) -> Analysis:
    """Compare the arms of these measurements.

    Args:
        measurements: one for each run and measure; arms keep the order of their first measurement.
        measures: what the names in `measurements` mean; others are ignored.
        baseline: the arm that each other arm is compared with.
        primary: the measure that the answer is about; None: the average over tasks, or the first measure.
        seconds: what more seeds cost.
        paired: whether arms share something real where they share a seed, such as the order of the data.
        seed: seed of the bootstrap.
    """
    measures = list(measures)
    tasks, warnings = averaged_tasks(measures)
    by_measure: dict[str, dict[str, AlignedArm]] = {}
    for measure in measures:
        by_measure[measure.name], found = align(measurements, measure.name)
        warnings += found
    arms = list(dict.fromkeys(m.arm for m in measurements))
    if len(arms) > 1:
        alone = {task.name: by_measure[task.name] for task in tasks if len(by_measure[task.name]) == 1}
        tasks = [task for task in tasks if task.name not in alone]
        warnings += [f"average: {name} is left out: only {next(iter(has))} has a value" for name, has in alone.items()]
    if len(tasks) > 1 and AVERAGE not in by_measure:
        measures.append(_average_measure(tasks))
        by_measure[AVERAGE], found = average({task.name: by_measure[task.name] for task in tasks})
        warnings += found
    results = [
        _compare(measure, baseline, by_measure[measure.name], _draws(arms, by_measure[measure.name], seed),
                 seconds or SeedSeconds(), paired)
        for measure in measures
    ]  # fmt: skip
    if primary is None:
        primary = AVERAGE if AVERAGE in by_measure else measures[0].name if measures else ""
    about = next((result.findings for result in results if result.findings.measure.name == primary), None)
    about = about or Findings(Measure(primary, primary, higher_is_better=True), baseline)
    return Analysis(
        measures=measures,
        cells=[cell for result in results for cell in result.findings.cells],
        differences=_over_tasks([d for result in results for d in result.findings.differences], tasks),
        power=[result.power for result in results],
        answer=answer(about),
        to_settle=to_settle(about),
        warnings=warnings + [warning for result in results for warning in result.warnings],
    )


@dataclass(frozen=True)
class _MeasureResult:
    findings: Findings
    power: Power
    warnings: list[str]


def _compare(
    measure: Measure,
    baseline: str,
    aligned: Mapping[str, AlignedArm],
    draws: Draws,
    seconds: SeedSeconds,
    paired: bool,
) -> _MeasureResult:
    """Compare all arms on one measure.

    Several arms may be the best. What is open then is the difference of each of them to the one with the best mean, at
    the level of the tests behind `may_be_best`.
    """
    pairs = {(a, b): compare_pair(aligned[a], aligned[b], paired) for a, b in permutations(aligned, 2)}

    def against(other: str, arms: Sequence[str], level: float) -> list[Difference]:
        others = [arm for arm in arms if arm != other]
        return [difference(measure, (arm, other), aligned, pairs[arm, other], draws, seconds, level) for arm in others]

    cells = _cells(measure, aligned, pairs)
    differences = against(baseline, list(aligned), LEVEL) if baseline in aligned else []
    differences = [replace(d, holm_p=p) for d, p in zip(differences, _adjusted(differences), strict=True)]
    sign = 1 if measure.higher_is_better else -1
    contenders = sorted((cell for cell in cells if cell.may_be_best), key=lambda cell: -sign * cell.mean)
    names = [cell.arm for cell in contenders]
    between = against(names[0], names, LEVEL / (len(aligned) - 1)) if names else []
    findings = Findings(measure, baseline, cells, differences, between)
    return _MeasureResult(
        findings, _power(measure, aligned, cells, differences, seconds), _equal_arms(measure, aligned)
    )


def averaged_tasks(measures: Sequence[Measure]) -> tuple[list[Measure], list[str]]:
    """Return the first measure of each task, as far as their mean has a meaning, and warnings.

    A measure `sentiment/accuracy` belongs to the task `sentiment`. All averaged measures have the unit, the display
    factor and the direction of the first one.
    """
    first: dict[str, Measure] = {}
    for measure in measures:
        if measure.kind == "task":
            first.setdefault(measure.name.rpartition("/")[0] or measure.name, measure)
    tasks, warnings = [], []
    for measure in first.values():
        reference = next(iter(first.values()))
        if (measure.higher_is_better, measure.factor) == (reference.higher_is_better, reference.factor):
            tasks.append(measure)
        else:
            warnings.append(f"average: {measure.name} is left out: its scale is not that of {reference.name}")
    return tasks, warnings


def _average_measure(tasks: Sequence[Measure]) -> Measure:
    units = {task.unit for task in tasks}
    return replace(
        tasks[0],
        name=AVERAGE,
        label=f"average over {len(tasks)} tasks",
        unit=units.pop() if len(units) == 1 else "",
        examples=None,
        kind="average",
    )


def _draws(arms: Sequence[str], aligned: Mapping[str, AlignedArm], seed: int) -> Draws:
    """Return the draws of the bootstrap. An arm has the same draws of its seeds on every measure."""
    values = example_draws([arm.sample for arm in aligned.values()], np.random.default_rng(seed))
    weights = {
        name: seed_draws(len(arm.seeds), np.random.default_rng((seed, 1 + arms.index(name))))
        for name, arm in aligned.items()
    }
    return Draws(dict(zip(aligned, values, strict=True)), weights)


def _adjusted(differences: Sequence[Difference]) -> list[float | None]:
    """Return the p of each difference adjusted by Holm over all that have one."""
    adjusted = iter(holm([d.p for d in differences if d.p is not None]))
    return [None if d.p is None else next(adjusted) for d in differences]


def _over_tasks(differences: Sequence[Difference], tasks: Sequence[Measure]) -> list[Difference]:
    """Return the differences with p adjusted by Holm over all arms and all averaged tasks."""
    names = {task.name for task in tasks}
    of_tasks = [d for d in differences if d.measure in names]
    adjusted = {(d.arm, d.measure): p for d, p in zip(of_tasks, _adjusted(of_tasks), strict=True)}
    return [replace(d, holm_tasks_p=adjusted.get((d.arm, d.measure))) for d in differences]


def _cells(measure: Measure, aligned: Mapping[str, AlignedArm], pairs: Mapping[tuple[str, str], Pair]) -> list[Cell]:
    """Return one cell for each arm.

    An arm may be the best if no other arm is better by its test. An arm that no test compares with another is unknown.
    """
    better = {
        (a, b): pair.interval.p
        for (a, b), pair in pairs.items()
        if (pair.interval.estimate > 0) == measure.higher_is_better
    }
    tested = {a for (a, _), pair in pairs.items() if pair.interval.p is not None}
    best = may_be_best(list(aligned), better)
    cells = []
    for (name, arm), may in zip(aligned.items(), best, strict=True):
        interval = mean_interval(arm.sample)
        between, within = seed_deviations([np.array(list(run.values())) for run in arm.runs])
        values = [
            SeedValue(seed, float(value), {key: v for key, v in run.items() if key is not None})
            for seed, value, run in zip(arm.seeds, arm.sample.values, arm.runs, strict=True)
        ]
        low, high = (None, None) if arm.note else (interval.low, interval.high)
        cells.append(
            Cell(
                name, measure.name, interval.estimate, low, high, between, within, values,
                may_be_best=may if name in tested else None, note=arm.note or interval.reason,
            )
        )  # fmt: skip
    return cells


def _power(
    measure: Measure,
    aligned: Mapping[str, AlignedArm],
    cells: Sequence[Cell],
    differences: Sequence[Difference],
    seconds: SeedSeconds,
) -> Power:
    """Return what the study can tell on one measure.

    The noise of an arm, for signal over noise, is its part of the standard error of a difference: examples that are
    easy or hard for every arm are no noise.
    """
    between = pooled([(cell.between, len(cell.values) - 1) for cell in cells])
    repeats = [sum(len(run) - 1 for run in aligned[cell.arm].runs) for cell in cells]
    within = pooled(list(zip((cell.within for cell in cells), repeats, strict=True)))
    errors = [d.standard_error for d in differences if d.standard_error is not None]
    detectable = [d.detectable for d in differences if d.detectable is not None]
    signal = float(np.std([cell.mean for cell in cells], ddof=1)) if len(cells) > 1 else None
    noise = math.sqrt(float(np.mean(np.square(errors))) / 2) if errors else None
    verdicts = [d.verdict for d in differences if d.verdict != "unknown"]
    best = None
    cost_finetuning = seconds.finetuning.get(measure.name)
    if between is not None and within is not None and cost_finetuning and set(aligned) <= set(seconds.arms):
        per_seed = float(np.mean([seconds.arms[arm] for arm in aligned]))
        finetuned = float(np.mean([len(run) for arm in aligned.values() for run in arm.runs]))
        best = best_finetuning_seeds(between, within, max(per_seed - finetuned * cost_finetuning, 0.0), cost_finetuning)
    return Power(
        measure.name,
        detectable=float(np.median(detectable)) if detectable else None,
        between=between,
        within=within,
        signal_to_noise=signal / noise if signal is not None and noise else None,
        best_finetuning_seeds=best,
        decides=any(v in ("better", "worse") for v in verdicts) if verdicts else None,
    )


def _equal_arms(measure: Measure, aligned: Mapping[str, AlignedArm]) -> list[str]:
    """Return a warning for each two arms with the same value in every run."""
    return [
        f"{measure.name}: {a} and {b} have the same value for every seed: are they the same runs?"
        for a, b in combinations(aligned, 2)
        if np.array_equal(aligned[a].sample.values, aligned[b].sample.values)
    ]
