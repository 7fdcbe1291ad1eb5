"""Values of single examples whose mean is the value of a metric, for metrics that are no mean over examples.

They are jackknife pseudo-values (Efron and Tibshirani 1993, chapter 11). With theta the metric of all N examples and
theta_i the metric without example i, the pseudo-value is N theta - (N - 1) theta_i. Their mean is theta without its
jackknife bias. Here they are moved by this bias, so that their mean is theta. Their variance and the difference of two
examples stay the same.

Every theta_i is exact. All of them together take O(N) operations, and O(N^2) for Spearman's correlation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bert_lightning.compare.measurements import Floats

Counts = npt.NDArray[np.float64]  # [C, C] number of examples by true class and predicted class
_BLOCK = 2**22  # number of pairs of examples that are compared at once


def pseudo_values(value: float, without: Floats) -> Floats:
    """Return the jackknife pseudo-values of a metric, moved so that their mean is its value, [N].

    Args:
        value: the metric of all examples.
        without: [N] the metric without each example.
    """
    moved: Floats = value + (len(without) - 1) * (without.mean() - without)
    return moved


def class_metric(
    gold: npt.NDArray[np.int64], found: npt.NDArray[np.int64], classes: int, metric: Callable[[Counts], float]
) -> tuple[float, Floats]:
    """Return a metric of the counts of (true class, predicted class), and its pseudo-values [N].

    Examples with equal classes have equal values, so the metric is computed at most C^2 times.

    Args:
        gold: [N] true classes.
        found: [N] predicted classes.
        classes: the number of classes, C.
        metric: the function of the counts.
    """
    cells, index, numbers = np.unique(gold * classes + found, return_inverse=True, return_counts=True)
    counts = np.zeros(classes * classes)
    counts[cells] = numbers
    without = []
    for cell in cells:
        counts[cell] -= 1
        without.append(metric(counts.reshape(classes, classes)))
        counts[cell] += 1
    value = metric(counts.reshape(classes, classes))
    return value, pseudo_values(value, np.array(without)[index])


def class_f1(counts: Counts) -> Floats:
    """Return the F1 of each class, [C]; 0 for a class that is neither true nor predicted anywhere."""
    scores: Floats = 2 * counts.diagonal() / np.maximum(counts.sum(0) + counts.sum(1), 1)
    return scores


def macro_f1(counts: Counts) -> float:
    """Return the mean F1 of the classes that are true or predicted at least once."""
    seen = (counts.sum(0) + counts.sum(1)) > 0
    return float(class_f1(counts)[seen].mean()) if seen.any() else 0.0


def matthews(counts: Counts) -> float:
    """Return the Matthews correlation (Gorodkin 2004); 0 if all true or all predicted classes are the same."""
    right, found, total = counts.sum(1), counts.sum(0), counts.sum()
    covariance = np.trace(counts) * total - right @ found
    variances = (total**2 - right @ right) * (total**2 - found @ found)
    return float(covariance / np.sqrt(variances)) if variances > 0 else 0.0


def ratio_metric(numerators: Floats, denominators: Floats) -> tuple[float, Floats]:
    """Return a ratio of two sums over examples, and its pseudo-values [N]. A ratio of 0 to 0 is 0.

    The F1 of entities is one: twice the correct entities, divided by the predicted and the true ones.
    """
    over, under = numerators.sum(), denominators.sum()
    without = (over - numerators) / np.maximum(under - denominators, 1)
    value = float(over / max(under, 1))
    return value, pseudo_values(value, without)


def pearson(x: Floats, y: Floats) -> tuple[float, Floats | None]:
    """Return the Pearson correlation of two vectors [N], and its pseudo-values [N].

    The value is NaN if a vector is constant. The pseudo-values are None if one is constant without some example.
    """
    x, y, n = x - x.mean(), y - y.mean(), len(x)
    shrink = n / max(n - 1, 1)  # of the sums of products, as the mean moves away from an example that is left out
    xx, yy, xy = (float(product.sum()) for product in (x * x, y * y, x * y))
    left = [total - product * shrink for total, product in ((xx, x * x), (yy, y * y), (xy, x * y))]
    return _correlation(xx, yy, xy, *left)


def spearman(x: Floats, y: Floats) -> tuple[float, Floats | None]:
    """Return the Spearman correlation of two vectors [N], and its pseudo-values [N], as `pearson` does.

    Without example i, the rank of every larger value is lower by 1, and that of every equal value by 1/2.
    """
    n, p, q = len(x), _ranks(x), _ranks(y)
    p_lost, p_squares = _lost(x, p)
    q_lost, q_squares = _lost(y, q)
    p_of_y, q_of_x = _sum_of_drops(y, p), _sum_of_drops(x, q)
    # Sums over the other examples of the products of their new ranks, (p - a) (q - b), with a and b the drops.
    xx = (p * p).sum() - p * p - 2 * p_lost + p_squares
    yy = (q * q).sum() - q * q - 2 * q_lost + q_squares
    xy = (p * q).sum() - p * q - p_of_y - q_of_x + _products_of_drops(x, y)
    middle = (n - 1) * (n / 2) ** 2  # the mean of the ranks 1 to n - 1 is n / 2
    a, b = p - p.mean(), q - q.mean()
    whole = (float((a * a).sum()), float((b * b).sum()), float((a * b).sum()))
    return _correlation(*whole, xx - middle, yy - middle, xy - middle)


def _correlation(
    xx: float, yy: float, xy: float, xx_left: Floats, yy_left: Floats, xy_left: Floats
) -> tuple[float, Floats | None]:
    """Return a correlation and its pseudo-values, from sums of products with all examples and without each."""
    if not (xx > 0 and yy > 0):
        return float("nan"), None
    value = float(np.clip(xy / np.sqrt(xx * yy), -1, 1))
    tiny = 1e-12  # the rounding of a sum of squares that is 0
    if (xx_left <= tiny * xx).any() or (yy_left <= tiny * yy).any():
        return value, None
    return value, pseudo_values(value, np.clip(xy_left / np.sqrt(xx_left * yy_left), -1, 1))


def _ranks(x: Floats) -> Floats:
    """Return the rank of each value, from 1. Equal values all get the mean of their ranks."""
    _, group, sizes = np.unique(x, return_inverse=True, return_counts=True)
    ranks: Floats = (sizes.cumsum() - (sizes - 1) / 2)[group]
    return ranks


def _lost(x: Floats, ranks: Floats) -> tuple[Floats, Floats]:
    """Return for each example the sums over the others of rank times drop, and of squared drops."""
    _, group, sizes = np.unique(x, return_inverse=True, return_counts=True)
    larger = (len(x) - sizes.cumsum())[group]
    return _sum_of_drops(x, ranks), larger + (sizes[group] - 1) / 4


def _sum_of_drops(x: Floats, weights: Floats) -> Floats:
    """Return for each example the sum over the others of their weight times the drop of their rank in `x`."""
    _, group, sizes = np.unique(x, return_inverse=True, return_counts=True)
    sums = np.bincount(group, weights=weights, minlength=len(sizes))
    larger = sums.sum() - sums.cumsum()
    total: Floats = larger[group] + (sums[group] - weights) / 2
    return total


def _products_of_drops(x: Floats, y: Floats) -> Floats:
    """Return for each example the sum over the others of the product of their drops in `x` and in `y`."""
    n, total = len(x), np.empty(len(x))
    for start in range(0, n, step := max(1, _BLOCK // n)):
        mine = slice(start, start + step)
        drops = [((v > v[mine, None]) + 0.5 * (v == v[mine, None])).astype(np.float32) for v in (x, y)]
        total[mine] = np.einsum("ij,ij->i", *drops, dtype=np.float64) - 0.25  # without the example itself
    return total
