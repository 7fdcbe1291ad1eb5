"""Compare two arms on one measure: interval, bootstrap, permutation test, power and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bert_lightning.compare.alignment import AlignedArm
from bert_lightning.compare.intervals import LEVEL, ROUNDING, Interval, Sample, difference_interval, examples_interval
from bert_lightning.compare.measurements import Floats
from bert_lightning.compare.power import detectable_difference, example_floor, seeds_to_detect
from bert_lightning.compare.resampling import multi_bootstrap, permutation_test
from bert_lightning.compare.results import Difference, Measure
from bert_lightning.compare.sentences import range_text

FEWEST_PAIRED_SEEDS = 3


@dataclass(frozen=True)
class Pair:
    """Two arms on one measure: the interval of the first minus the second, and whether their seeds are paired.

    `counts` has the number of seeds behind each seed component of the interval.
    """

    interval: Interval
    paired: bool
    correlation: float | None
    counts: tuple[float, ...]


@dataclass(frozen=True)
class SeedSeconds:
    """The seconds of one more pretraining seed of each arm, with all that follows it, and of one fine-tuning run.

    A missing entry is unknown.
    """

    arms: Mapping[str, float] = field(default_factory=dict)
    finetuning: Mapping[str, float] = field(default_factory=dict)  # by measure


@dataclass(frozen=True)
class Draws:
    """The draws of the bootstrap on one measure: for each arm, values and weights [B, S] of its seeds."""

    values: Mapping[str, Floats]
    weights: Mapping[str, Floats]


def compare_pair(a: AlignedArm, b: AlignedArm, paired: bool = False) -> Pair:
    """Return the interval of `a` minus `b`. Runs that are left out of either arm leave it without an interval.

    Seeds are paired only if `paired` asks for it and both arms have the same seeds, at least three. Otherwise they are
    taken as independent. That is valid without correlation, and too careful with a positive one. The correlation is
    estimated but decides nothing: pairing wherever a few seeds happen to correlate covers less
    (experiments/comparing_statistics).
    """
    correlation = seed_correlation(a, b)
    pair = paired and a.seeds == b.seeds and len(a.seeds) >= FEWEST_PAIRED_SEEDS
    count_a, count_b = len(a.seeds), len(b.seeds)
    note = "; ".join(dict.fromkeys(arm.note for arm in (a, b) if arm.note))
    if note:
        estimate = float(a.sample.values.mean() - b.sample.values.mean())
        return Pair(Interval(estimate, reason=note), pair, correlation, ())
    interval = difference_interval(a.sample, b.sample, pair)
    counts = (count_a, count_b) if min(count_a, count_b) > 1 else (2 / (1 / count_a + 1 / count_b),)
    return Pair(interval, pair, correlation, (count_a,) if pair else counts)


def seed_correlation(a: AlignedArm, b: AlignedArm) -> float | None:
    """Return the correlation of the arms' values over the seeds they share; None below three seeds."""
    shared = [seed for seed in a.seeds if seed in b.seeds]
    if len(shared) < FEWEST_PAIRED_SEEDS:
        return None
    x, y = (arm.restricted(shared).sample.values for arm in (a, b))
    if min(x.std() / np.abs(x).max(initial=ROUNDING), y.std() / np.abs(y).max(initial=ROUNDING)) <= ROUNDING:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def difference(
    measure: Measure,
    names: tuple[str, str],
    arms: Mapping[str, AlignedArm],
    pair: Pair,
    draws: Draws,
    seconds: SeedSeconds,
    level: float = LEVEL,
) -> Difference:
    """Return an arm minus the baseline, `names` in this order, with all but Holm's adjustment.

    What can be detected, and what would settle the difference, refer to a two-sided test at `level`.
    """
    (arm, baseline), interval = names, pair.interval
    a, b = arms[arm], arms[baseline]
    if interval.low is None or interval.high is None:
        complete_single_seeds = len(a.seeds) == len(b.seeds) == 1 and not (a.note or b.note)
        note = _one_seed_note(measure, a, b) if complete_single_seeds else interval.reason
        correlation = pair.correlation
        return Difference(arm, baseline, measure.name, interval.estimate, seed_correlation=correlation, note=note)
    assert interval.standard_error is not None
    assert interval.degrees_of_freedom is not None
    needed = seeds_to_detect(interval.estimate, interval.terms, pair.counts, level)
    several = min(len(a.seeds), len(b.seeds)) > 1
    permutation = None
    if several:
        permutation = permutation_test(a.sample.values, b.sample.values, np.random.default_rng(0), pair.paired)
    weights = draws.weights[baseline] if pair.paired else draws.weights[arm]
    bootstrap = None
    if several:
        bootstrap = multi_bootstrap(draws.values[arm], draws.values[baseline], weights, draws.weights[baseline])
    return Difference(
        arm,
        baseline,
        measure.name,
        interval.estimate,
        low=interval.low,
        high=interval.high,
        standard_error=interval.standard_error,
        degrees_of_freedom=interval.degrees_of_freedom,
        paired=pair.paired,
        seed_correlation=pair.correlation,
        bootstrap_low=bootstrap.low if bootstrap else None,
        bootstrap_high=bootstrap.high if bootstrap else None,
        bootstrap_p=bootstrap.p if bootstrap else None,
        permutation_p=permutation.p if permutation else None,
        permutation_floor=permutation.floor if permutation else None,
        p=interval.p,
        verdict=verdict(interval, measure.higher_is_better),
        detectable=detectable_difference(interval.standard_error, interval.degrees_of_freedom, level),
        seeds_to_settle=needed,
        seconds_to_settle=_further_seconds(needed, {arm: len(a.seeds), baseline: len(b.seeds)}, seconds),
        example_floor=example_floor(interval.terms, level),
        note=interval.reason,
    )


def verdict(interval: Interval, higher_is_better: bool) -> str:
    """Return `better` or `worse` if the interval excludes 0, `open` if not, and `unknown` without an interval."""
    if interval.low is None or interval.high is None:
        return "unknown"
    if interval.low <= 0 <= interval.high:
        return "open"
    return "better" if (interval.estimate > 0) == higher_is_better else "worse"


def _one_seed_note(measure: Measure, a: AlignedArm, b: AlignedArm) -> str:
    """Return what can be said about one pretraining seed for each arm: its fine-tuning seeds, or its examples."""
    samples = [_finetuning_sample(arm) for arm in (a, b)]
    if samples[0] is not None and samples[1] is not None:
        interval, over = difference_interval(samples[0], samples[1]), "fine-tuning seeds and examples"
    else:
        interval, over = examples_interval(a.sample, b.sample), "examples"
    silent = "one pretraining seed for each arm says nothing about other seeds"
    if interval.low is None or interval.high is None:
        return silent
    return f"{silent}; over {over} alone the difference is {range_text(measure, interval.low, interval.high)}"


def _finetuning_sample(arm: AlignedArm) -> Sample | None:
    """Return the fine-tuning seeds of the only pretraining seed as a sample, if there are several."""
    values = np.array(list(arm.runs[0].values()))
    return Sample(values, (arm.repeats[0],)) if len(values) > 1 and len(arm.sample.parts) == 1 else None


def _further_seconds(needed: int | None, counts: Mapping[str, int], seconds: SeedSeconds) -> float | None:
    if needed is None or any(arm not in seconds.arms for arm in counts):
        return None
    return sum(max(needed - count, 0) * seconds.arms[arm] for arm, count in counts.items())


def pooled(deviations: Sequence[tuple[float | None, int]]) -> float | None:
    """Return the standard deviation pooled over groups, from the deviations and their degrees of freedom."""
    known = [(value, df) for value, df in deviations if value is not None and df > 0]
    if not known:
        return None
    return float(np.sqrt(sum(df * value**2 for value, df in known) / sum(df for _, df in known)))
