"""Align measurements: the same examples in every run, one value per pretraining seed, and averages over tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bert_lightning.compare.intervals import Sample
from bert_lightning.compare.measurements import Floats, Measurement


@dataclass(frozen=True)
class AlignedArm:
    """One arm on one measure, with examples aligned to those of the other arms.

    `runs` has for each seed the values of its fine-tuning seeds, or one value under None. `repeats` has the values
    [F, N] of the examples in these runs, if they are known. `note` says which runs are left out; then no interval can
    be honest.
    """

    seeds: tuple[int, ...]
    sample: Sample
    runs: tuple[dict[int | None, float], ...]
    repeats: tuple[Floats | None, ...]
    note: str = ""

    def restricted(self, seeds: Sequence[int]) -> AlignedArm:
        """Return this arm with only the given seeds, in their order."""
        rows = [self.seeds.index(seed) for seed in seeds]
        parts = tuple(None if part is None else part[rows] for part in self.sample.parts)
        return AlignedArm(
            tuple(seeds),
            Sample(self.sample.values[rows], parts),
            tuple(self.runs[row] for row in rows),
            tuple(self.repeats[row] for row in rows),
            self.note,
        )


def align(measurements: Sequence[Measurement], measure: str) -> tuple[dict[str, AlignedArm], list[str]]:
    """Return each arm on one measure, in the order of its first measurement, and warnings.

    A run measured twice counts once. A value that is not finite is left out and noted. Examples that are not in every
    run are left out. If no two examples are in all runs, or a run has only its whole value, only whole values count.
    """
    runs, warnings = _without_duplicates([m for m in measurements if m.measure == measure])
    finite = [run for run in runs if math.isfinite(run.value)]
    notes: dict[str, str] = {}
    for run in runs:
        if not math.isfinite(run.value):
            notes[run.arm] = _joined(notes.get(run.arm, ""), f"{_name(run)} has the value {run.value}")
    left = {run.arm for run in finite}
    for arm, note in notes.items():
        rest = "its mean is over the other runs, without an interval" if arm in left else "no other run is left"
        warnings.append(f"{measure}: {arm}: {note}; {rest}")
    examples, reason = _example_values(finite)
    if reason:
        warnings.append(f"{measure}: {reason}")
    rows: dict[str, list[int]] = {}
    for i, run in enumerate(finite):
        rows.setdefault(run.arm, []).append(i)
    aligned = {arm: _arm([finite[i] for i in own], [examples[i] for i in own]) for arm, own in rows.items()}
    return {name: replace(arm, note=notes.get(name, "")) for name, arm in aligned.items()}, warnings


def average(tasks: Mapping[str, Mapping[str, AlignedArm]]) -> tuple[dict[str, AlignedArm], list[str]]:
    """Return each arm on the mean over the tasks (measure -> arm -> values), and warnings.

    An arm that lacks a task has no average. A seed that lacks a task is left out of the average.
    """
    names = list(dict.fromkeys(arm for by_arm in tasks.values() for arm in by_arm))
    averages, warnings = {}, []
    for name in names:
        missing = [task for task, by_arm in tasks.items() if name not in by_arm]
        if missing:
            warnings.append(f"average: {name} has no value of {', '.join(missing)}, so it has no average")
            continue
        arms = [by_arm[name] for by_arm in tasks.values()]
        seeds = [seed for seed in arms[0].seeds if all(seed in arm.seeds for arm in arms)]
        dropped = sorted({seed for arm in arms for seed in arm.seeds} - set(seeds))
        if dropped:
            warnings.append(f"average: {name}: not every task has seed {', '.join(map(str, dropped))}: it is left out")
        if seeds:
            averages[name] = _mean_arm([arm.restricted(seeds) for arm in arms])
    return averages, warnings


def _mean_arm(arms: Sequence[AlignedArm]) -> AlignedArm:
    """Return the mean of the same seeds of one arm over tasks."""
    runs: list[dict[int | None, float]] = []
    for by_task in zip(*(arm.runs for arm in arms), strict=True):
        shared = [key for key in by_task[0] if all(key in values for values in by_task)]
        complete = all(len(values) == len(shared) for values in by_task)
        keys = shared if complete else []
        runs.append({key: float(np.mean([values[key] for values in by_task])) for key in keys})
    values = np.mean([arm.sample.values for arm in arms], axis=0)
    filled = tuple(run or {None: float(value)} for run, value in zip(runs, values, strict=True))
    parts = tuple(part for arm in arms for part in arm.sample.parts)
    note = "; ".join(dict.fromkeys(arm.note for arm in arms if arm.note))
    return AlignedArm(arms[0].seeds, Sample(values, parts), filled, (None,) * len(values), note)


def _arm(runs: Sequence[Measurement], examples: Sequence[Floats | None]) -> AlignedArm:
    """Return one arm with the mean over the fine-tuning seeds of each pretraining seed."""
    values: dict[int, dict[int | None, float]] = {}
    rows: dict[int, list[Floats]] = {}
    for run, example in zip(runs, examples, strict=True):
        value = run.value if example is None else float(example.mean())
        values.setdefault(run.seed, {})[run.finetuning_seed] = value
        if example is not None:
            rows.setdefault(run.seed, []).append(example)
    seeds = sorted(values)
    repeats = [np.array(rows[seed]) for seed in seeds] if rows else []
    part = np.array([repeat.mean(axis=0) for repeat in repeats]) if repeats else None
    means = np.array([np.mean(list(values[seed].values())) for seed in seeds])
    return AlignedArm(
        tuple(seeds),
        Sample(means, (part,)),
        tuple(values[seed] for seed in seeds),
        tuple(repeats) if repeats else (None,) * len(seeds),
    )


def _example_values(runs: Sequence[Measurement]) -> tuple[list[Floats | None], str]:
    """Return the values of the common examples (or clusters) of each run, or None for all, and what is wrong."""
    nothing: list[Floats | None] = [None] * len(runs)
    usable = [_usable(run) for run in runs]
    if not any(run.values is not None for run in runs):
        return nothing, ""
    if not all(usable):
        bad = runs[usable.index(False)]
        return nothing, f"{bad.arm}: {_name(bad)} has no usable values of examples: only whole values are compared"
    sets = [set(run.examples or ()) for run in runs]
    common, union = set.intersection(*sets), set.union(*sets)
    if len(common) < 2:
        return nothing, f"{len(common)} examples are in every run: only whole values are compared"
    ids = [example for example in runs[0].examples or () if example in common]
    values: list[Floats | None] = [_selected(run, ids, whole=len(common) == len(union)) for run in runs]
    clusters = _clusters(runs[0], ids)
    if clusters is not None:
        if clusters.max() < 1:
            return nothing, "all examples are in one cluster: only whole values are compared"
        values = [None if v is None else cluster_values(v, clusters) for v in values]
    lost = f"{len(union) - len(common)} of {len(union)} examples are not in every run: {len(common)} are compared"
    return values, "" if len(common) == len(union) else lost


def cluster_values(values: Floats, clusters: np.ndarray) -> Floats:
    """Return one value for each cluster, [N] -> [C], whose mean is the mean of `values`.

    The mean over examples is a ratio of two means over clusters, of sums and of sizes. Cluster c has the linearised
    value mean + (C / N) (sum[c] - size[c] mean), so that the variance over clusters is that of the ratio estimator
    (Cochran 1977, section 6.3).
    """
    sums, sizes = np.bincount(clusters, weights=values), np.bincount(clusters)
    mean = float(values.mean())
    linearised: Floats = mean + len(sizes) / len(values) * (sums - sizes * mean)
    return linearised


def _usable(run: Measurement) -> bool:
    """Return whether the examples have unique ids and finite values, whose mean is the run's value.

    The mean of jackknife pseudo-values differs from the value by their correction for bias, which is far below one
    standard error.
    """
    if run.values is None or run.examples is None or not len(run.values) == len(set(run.examples)) == len(run.examples):
        return False
    if len(run.values) < 2 or not np.isfinite(run.values).all():
        return False
    error = float(run.values.std()) / math.sqrt(len(run.values))
    return abs(float(run.values.mean()) - run.value) <= error + 1e-6 * max(1.0, abs(run.value))


def _selected(run: Measurement, ids: Sequence[str], whole: bool) -> Floats:
    """Return the run's values of these examples, moved so that the mean of all its examples is its value."""
    assert run.values is not None
    assert run.examples is not None
    values = np.asarray(run.values, dtype=np.float64)
    shift = run.value - float(values.mean())
    if not (whole and list(run.examples) == ids):
        place = {example: i for i, example in enumerate(run.examples)}
        values = values[[place[example] for example in ids]]
    return values + shift


def _clusters(run: Measurement, ids: Sequence[str]) -> np.ndarray | None:
    """Return the number of each example's cluster, from 0, or None without clusters."""
    if run.clusters is None or run.examples is None:
        return None
    names = dict(zip(run.examples, run.clusters, strict=True))
    numbers: np.ndarray = np.unique([names[example] for example in ids], return_inverse=True)[1]
    return numbers


def _without_duplicates(runs: Sequence[Measurement]) -> tuple[list[Measurement], list[str]]:
    first: dict[tuple[str, int, int | None], Measurement] = {}
    warnings = []
    for run in runs:
        key = (run.arm, run.seed, run.finetuning_seed)
        if key in first:
            warnings.append(f"{run.measure}: {run.arm}: {_name(run)} was measured twice; the first one counts")
        first.setdefault(key, run)
    return list(first.values()), list(dict.fromkeys(warnings))


def _name(run: Measurement) -> str:
    return f"seed {run.seed}" + ("" if run.finetuning_seed is None else f", fine-tuning seed {run.finetuning_seed}")


def _joined(*texts: str) -> str:
    return "; ".join(text for text in texts if text)
