"""Several comparisons at once: Holm's adjustment, and the set of arms that may be the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bert_lightning.compare.intervals import LEVEL


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm's step-down method (1979), in the order of `p_values`.

    The k-th smallest of m values is multiplied by m - k + 1; no adjusted value is below an earlier one or above 1.
    Rejecting where the adjusted p is at most 0.05 makes any false rejection at most 5 % likely, whatever the
    dependence of the tests.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    adjusted = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    result = np.empty_like(p)
    result[order] = adjusted
    return [float(value) for value in result]


def may_be_best(
    arms: Sequence[str], better: Mapping[tuple[str, str], float | None], level: float = LEVEL
) -> list[bool]:
    """Return whether each arm cannot be excluded as the best: Gupta's subset selection with Bonferroni's inequality.

    An arm is excluded if some other arm is better by a two-sided test at level / (K - 1) for K arms. The truly best
    arm is excluded only if one of its own K - 1 tests errs, and in one direction. So it is in the set with a
    probability of at least 1 - level / 2, for any dependence of the tests (Gupta 1965; Hsu 1984).

    Args:
        arms: the K arms.
        better: (x, y) -> the p of the difference of x and y if the estimate of x is the better one; None if there is
            no p. A pair without an entry excludes nothing.
        level: the total probability of an error, two-sided.
    """
    bound = level / max(len(arms) - 1, 1)
    losers = {y for (_, y), p in better.items() if p is not None and p <= bound}
    return [arm not in losers for arm in arms]
