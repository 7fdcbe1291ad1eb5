"""Compute what a study can find, and what would settle an open question: power, seeds and costs."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from scipy.special import nctdtrinc, stdtrit

from bert_lightning.compare.intervals import LEVEL, Component, ErrorTerms
from bert_lightning.compare.measurements import Floats

POWER = 0.8
MOST_SEEDS = 1000


def detectable_difference(standard_error: float, df: float, level: float = LEVEL) -> float:
    """Return the smallest true difference that a two-sided test at this level finds in 80 of 100 studies.

    It is SE times the noncentrality at which the noncentral t distribution exceeds the critical t with a probability
    of 0.8. At 5 % the usual approximation SE (t[0.975] + t[0.8]) is close from 8 degrees of freedom on.
    """
    critical = stdtrit(df, 1 - level / 2)
    return standard_error * float(nctdtrinc(df, 1 - POWER, critical))


def seeds_to_detect(difference: float, terms: ErrorTerms, counts: Sequence[float], level: float = LEVEL) -> int | None:
    """Return the number of seeds for each arm at which a true difference of this size is found with a power of 80 %.

    The seed part of the variance shrinks with the seeds, the part of the examples alone (V_ex - V_res, at least 0) does
    not. None if 1000 seeds are too few: see `example_floor`.

    Args:
        difference: the assumed true difference.
        terms: the parts of the standard error in this study.
        counts: the number of seeds behind each component of `terms.seeds`.
        level: level of the two-sided test.
    """
    floor = _example_part(terms)

    def is_found(count: int) -> bool:
        seeds = [Component(c.variance * now / count, count - 1) for c, now in zip(terms.seeds, counts, strict=True)]
        error, df = ErrorTerms(tuple(seeds), (floor,)).standard_error()
        return detectable_difference(error, df, level) <= abs(difference)

    candidates = range(2, MOST_SEEDS + 1)
    first = bisect_left(candidates, True, key=is_found)
    return candidates[first] if first < len(candidates) else None


def example_floor(terms: ErrorTerms, level: float = LEVEL) -> float:
    """Return the smallest difference that any number of seeds can find on these examples with a power of 80 %."""
    part = _example_part(terms)
    if not part.variance > 0:
        return 0.0
    return detectable_difference(math.sqrt(part.variance), part.degrees_of_freedom, level)


def best_finetuning_seeds(between: float, within: float, cost_seed: float, cost_finetuning: float) -> float | None:
    """Return the number of fine-tuning seeds per pretraining seed with the least variance for the time spent.

    It is sqrt((cost_P / cost_F) (var_F / var_P)), the optimum of a two-stage sample (Cochran 1977, section 10.6), and
    at least 1. None if the variance between pretraining seeds is 0: the formula has no finite value.

    Args:
        between: standard deviation between pretraining seeds, without the part of fine-tuning.
        within: standard deviation between the fine-tuning seeds of one pretraining seed.
        cost_seed: cost of one more pretraining seed, without its fine-tuning on this measure.
        cost_finetuning: cost of one more fine-tuning run.
    """
    if between <= 0 or cost_finetuning <= 0:
        return None
    return max(1.0, math.sqrt(cost_seed / cost_finetuning) * within / between)


def seed_deviations(groups: Sequence[Floats]) -> tuple[float | None, float | None]:
    """Return the standard deviations between pretraining seeds, and between fine-tuning seeds of one pretraining seed.

    Method of moments for one-way random effects: within^2 is the pooled variance inside the groups; between^2 is the
    variance of the groups' means minus within^2 times the mean of 1 / F, and at least 0. Without repeated fine-tuning
    `between` contains the variance of fine-tuning, and `within` is None.

    Args:
        groups: for each pretraining seed, the values [F] of its fine-tuning seeds.
    """
    df = sum(len(group) - 1 for group in groups)
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / df if df else None
    between = None
    if len(groups) > 1:
        means = [float(group.mean()) for group in groups]
        noise = (within or 0.0) * float(np.mean([1 / len(group) for group in groups]))
        between = math.sqrt(max(float(np.var(means, ddof=1)) - noise, 0.0))
    return between, None if within is None else math.sqrt(within)


def _example_part(terms: ErrorTerms) -> Component:
    """Return V_ex - V_res, at least 0: the variance that more seeds do not reduce."""
    examples = sum(c.variance for c in terms.examples)
    residual = sum(c.variance for c in terms.residual)
    return Component(max(examples - residual, 0.0), min((c.degrees_of_freedom for c in terms.examples), default=1))
