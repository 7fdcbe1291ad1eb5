"""Confidence intervals for means over pretraining seeds and examples, and for the difference of two such means.

Both seeds and examples are samples: an interval is about new seeds and new examples. The model of the value of example
i in the run with seed s is a random-effects model of two crossed factors, without repetition:

    x[s, i] = mean + seed effect[s] + example effect[i] + residual[s, i]

The rows [S] and columns [N] of the array x [S, N] each have a mean square, and so have the residuals. The variance of
the mean of x is the sum of its seed and example parts, minus the residual part, which both parts contain (Searle,
Casella & McCulloch 1992, "Variance components", section 4.4). Degrees of freedom follow Satterthwaite (1946).
experiments/comparing_statistics has the coverage in simulated studies: 93.7 to 97.2 % for a nominal 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import stdtr, stdtrit

from bert_lightning.compare.measurements import Floats

LEVEL = 0.05  # of a two-sided test; an interval has a confidence of 1 - LEVEL
ROUNDING = 1e-12  # relative; sums of equal float64 values differ by less


@dataclass(frozen=True)
class Sample:
    """The values of one arm on one measure, or on the mean of several measures.

    `values` [S] has one value for each pretraining seed: the mean over its fine-tuning seeds. Each array [S, N] of
    `parts` has the values of the examples of one measure; a whole value has one part, a mean over tasks one for each
    task. A part is None if only the whole values are known.
    """

    values: Floats
    parts: tuple[Floats | None, ...] = (None,)


@dataclass(frozen=True)
class Component:
    """An estimated part of the variance of a mean, and the degrees of freedom of the estimate."""

    variance: float
    degrees_of_freedom: float


@dataclass(frozen=True)
class ErrorTerms:
    """The parts of the squared standard error of a mean or of a difference of means.

    `seeds` and `examples` are the variances that the choice of seeds and of examples contribute. Both contain the
    variance of the residuals, so that it is subtracted once. Without `examples` the result is about these examples.
    """

    seeds: tuple[Component, ...]
    examples: tuple[Component, ...] = ()
    residual: tuple[Component, ...] = ()

    def standard_error(self) -> tuple[float, float]:
        """Return the standard error and its degrees of freedom.

        SE^2 = V_seed + V_ex - V_res, unless one part alone gives a wider interval: an interval over new seeds and new
        examples is not narrower than one over new seeds alone, or over new examples alone. So SE^2 is at least
        max(V_seed, V_ex), and a small estimate of V_seed from few seeds does not win many degrees of freedom.
        """
        candidates = [_satterthwaite(self.seeds), _satterthwaite(self.examples)]
        together = _satterthwaite(self.seeds + self.examples, self.residual)
        if together[0] >= max(error for error, _ in candidates):
            candidates.append(together)
        return max(candidates, key=lambda candidate: half_width(*candidate))


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % confidence interval and the two-sided p of the hypothesis that the true value is 0.

    `low`, `high` and `p` are None if there is no interval; `reason` says why. With an interval, `reason` is a caution:
    an assumption that the interval makes. `terms` are the parts of the standard error, where they are known.
    """

    estimate: float
    low: float | None = None
    high: float | None = None
    standard_error: float | None = None
    degrees_of_freedom: float | None = None
    p: float | None = None
    reason: str = ""
    terms: ErrorTerms = field(default_factory=lambda: ErrorTerms(()))


def mean_interval(sample: Sample) -> Interval:
    """Return the interval of the mean of one arm."""
    estimate = float(np.mean(sample.values))
    if not np.isfinite(sample.values).all():
        return Interval(estimate, reason="a value is not finite")
    if len(sample.values) < 2:
        return Interval(estimate, reason="one seed says nothing about other seeds")
    return _with_cautions(t_interval(estimate, mean_terms(sample), _scale(sample)), _examples_caution(sample))


def difference_interval(a: Sample, b: Sample, paired: bool = False) -> Interval:
    """Return the interval of the mean of `a` minus the mean of `b`.

    The examples of both samples are the same, in the same order. If `paired`, so are the seeds. If only one of the two
    has more than one seed, the other is taken to vary as much (Crawford & Howell 1998 compare one case with a sample
    in the same way); `reason` then says so.
    """
    estimate = float(np.mean(a.values) - np.mean(b.values))
    if not (np.isfinite(a.values).all() and np.isfinite(b.values).all()):
        return Interval(estimate, reason="a value is not finite")
    if len(a.values) < 2 and len(b.values) < 2:
        return Interval(estimate, reason="one seed for each arm says nothing about other seeds")
    one = min(len(a.values), len(b.values)) == 1
    borrowed = "one arm has one seed and is assumed to vary as the other arm does" if one else ""
    interval = t_interval(estimate, difference_terms(a, b, paired), _scale(a, b))
    return _with_cautions(interval, borrowed, _examples_caution(a) or _examples_caution(b))


def examples_interval(a: Sample, b: Sample) -> Interval:
    """Return the interval of the difference of exactly these runs over new examples. It is silent on other seeds."""
    estimate = float(np.mean(a.values) - np.mean(b.values))
    terms = ErrorTerms((), _example_components(_mean_differences(a, b)))
    return (
        t_interval(estimate, terms) if terms.examples else Interval(estimate, reason="values of examples are unknown")
    )


def t_interval(estimate: float, terms: ErrorTerms, scale: float = 1.0) -> Interval:
    """Return estimate +- t SE, with t at the degrees of freedom of the terms.

    A standard error below the rounding errors of values of the size `scale` is none: equal values can have one.
    """
    error, df = terms.standard_error()
    if error <= ROUNDING * scale:
        return Interval(estimate, reason="the values do not vary: there is nothing to estimate an error from")
    half = half_width(error, df)
    p = 2 * float(stdtr(df, -abs(estimate) / error))
    return Interval(estimate, estimate - half, estimate + half, error, df, p, terms=terms)


def _scale(*samples: Sample) -> float:
    return max(float(np.abs(sample.values).max()) for sample in samples)


def _with_cautions(interval: Interval, *cautions: str) -> Interval:
    if interval.low is None:
        return interval
    return replace(interval, reason="; ".join(caution for caution in cautions if caution))


def _examples_caution(sample: Sample) -> str:
    if all(part is not None for part in sample.parts):
        return ""
    return "values of single examples are unknown, so this is about exactly these examples"


def half_width(error: float, df: float) -> float:
    """Return half of the width of an interval: t SE."""
    return error * float(stdtrit(df, 1 - LEVEL / 2))


def mean_terms(sample: Sample) -> ErrorTerms:
    """Return the parts of the squared standard error of the mean of one arm, from two or more seeds."""
    means = [None if part is None else part.mean(axis=0) for part in sample.parts]
    return _terms([(sample, 1 / len(sample.values))], means)


def difference_terms(a: Sample, b: Sample, paired: bool = False) -> ErrorTerms:
    """Return the parts of the squared standard error of the difference of two arms.

    V_seed is the sum of var(values) / S over both arms; if `paired`, var(difference) / S. V_ex is var(d) / N, with d
    [N] the difference of the arms on each example, averaged over seeds. V_res is the sum over both arms of the mean
    square of the residuals / (S N). The mean over T measures has 1 / T^2 of the sum of their V_ex and V_res.
    """
    means = _mean_differences(a, b)
    count_a, count_b = len(a.values), len(b.values)
    if paired:
        parts = zip(a.parts, b.parts, strict=True)
        both = Sample(a.values - b.values, tuple(None if p is None or q is None else p - q for p, q in parts))
        return _terms([(both, 1 / count_a)], means)
    if count_a > 1 and count_b > 1:
        return _terms([(a, 1 / count_a), (b, 1 / count_b)], means)
    return _terms([(a if count_a > 1 else b, 1 / count_a + 1 / count_b)], means)


def _terms(samples: Sequence[tuple[Sample, float]], means: Sequence[Floats | None]) -> ErrorTerms:
    """Return the parts from samples with the factors of their variance, and from the means [N] of each example."""
    residual = [
        Component(component.variance * factor / len(means) ** 2, component.degrees_of_freedom)
        for sample, factor in samples
        for part, mean in zip(sample.parts, means, strict=True)
        if part is not None and mean is not None
        for component in [_residual_of_column_mean(part)]
    ]
    return ErrorTerms(
        seeds=tuple(Component(float(np.var(s.values, ddof=1)) * factor, len(s.values) - 1) for s, factor in samples),
        examples=_example_components(means),
        residual=tuple(residual),
    )


def _example_components(means: Sequence[Floats | None]) -> tuple[Component, ...]:
    """Return var(mean) / (N T^2) of each of the T measures whose examples [N] are known."""
    known = [mean for mean in means if mean is not None]
    return tuple(Component(float(np.var(mean, ddof=1)) / len(mean) / len(means) ** 2, len(mean) - 1) for mean in known)


def _residual_of_column_mean(part: Floats) -> Component:
    """Return the mean square of the residuals of [S, N] without row and column means, divided by N."""
    rows, columns = part.shape
    residuals = part - part.mean(axis=1, keepdims=True) - part.mean(axis=0) + part.mean()
    df = (rows - 1) * (columns - 1)
    return Component(float((residuals**2).sum()) / df / columns, df)


def _mean_differences(a: Sample, b: Sample) -> list[Floats | None]:
    """Return the difference of the arms on each example, averaged over seeds, for each measure."""
    return [
        None if p is None or q is None else p.mean(axis=0) - q.mean(axis=0)
        for p, q in zip(a.parts, b.parts, strict=True)
    ]


def _satterthwaite(added: Sequence[Component], subtracted: Sequence[Component] = ()) -> tuple[float, float]:
    """Return the root of a sum of variances and its df = (sum of V_k)^2 / sum of (V_k^2 / df_k)."""
    variance = sum(c.variance for c in added) - sum(c.variance for c in subtracted)
    if variance <= 0:
        return 0.0, 1.0
    uncertainty = sum(c.variance**2 / c.degrees_of_freedom for c in (*added, *subtracted))
    return math.sqrt(variance), variance**2 / uncertainty
