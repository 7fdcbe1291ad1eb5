"""Bootstrap and permutation of the difference of two arms, beside its default interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from bert_lightning.compare.intervals import LEVEL, Sample
from bert_lightning.compare.measurements import Floats

DRAWS = 1000
MOST_PERMUTATIONS = 20_000  # exact up to this number
RANDOM_PERMUTATIONS = 9_999  # beyond it
CHUNK = 1 << 16  # drawn examples held at a time: they stay in the cache


@dataclass(frozen=True)
class BootstrapResult:
    """A 95 % percentile interval of the Multi-Bootstrap, and its two-sided p."""

    low: float
    high: float
    p: float


def seed_draws(count: int, rng: np.random.Generator, draws: int = DRAWS) -> Floats:
    """Return the weights [B, S] of seeds drawn with replacement: how often each is drawn, divided by S."""
    return rng.multinomial(count, np.full(count, 1 / count), size=draws) / count


def example_draws(samples: list[Sample], rng: np.random.Generator, draws: int = DRAWS) -> list[Floats]:
    """Return the value [B, S] of each seed in B draws of the examples, for each sample.

    The samples share each draw of examples. The examples of different measures are drawn independently. A measure
    without values of its examples has the whole value in each draw.
    """
    totals = [np.zeros((draws, len(sample.values))) for sample in samples]
    for parts in zip(*(sample.parts for sample in samples), strict=True):
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            continue
        means = _resampled_means(np.concatenate(known), rng, draws)
        bounds = np.cumsum([len(part) for part in known])[:-1]
        # Without this shift, a measure with unknown examples next to it would lose its whole values.
        for total, drawn, part in zip(totals, np.split(means, bounds, axis=1), known, strict=True):
            total += (drawn - part.mean(axis=1)) / len(samples[0].parts)
    return [sample.values + total for sample, total in zip(samples, totals, strict=True)]


def multi_bootstrap(a: Floats, b: Floats, weights_a: Floats, weights_b: Floats) -> BootstrapResult:
    """Return the Multi-Bootstrap (Sellam et al. 2022, https://arxiv.org/abs/2106.16163) of the mean of a minus b.

    In each draw both seeds and examples are drawn with replacement. p = 2 min(tail), tail = (1 + count) / (B + 1), with
    the count of draws on either side of 0.

    Args:
        a: values [B, S] of each seed in each draw of the examples, from `example_draws`.
        b: the same of the other arm.
        weights_a: weights [B, S] of the seeds in each draw, from `seed_draws`.
        weights_b: the same of the other arm; where seeds are paired, those of `a`.
    """
    differences = (a * weights_a).sum(axis=1) - (b * weights_b).sum(axis=1)
    low, high = np.quantile(differences, [LEVEL / 2, 1 - LEVEL / 2])
    tail = 1 + min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return BootstrapResult(float(low), float(high), min(2 * tail / (len(differences) + 1), 1.0))


@dataclass(frozen=True)
class PermutationResult:
    """The two-sided p of a permutation test over seeds, and the smallest p that this number of seeds can give."""

    p: float
    floor: float


def permutation_test(a: Floats, b: Floats, rng: np.random.Generator, paired: bool = False) -> PermutationResult:
    """Return the permutation test of the difference of means, over the values [S] of seeds.

    It is about exactly these test examples: two recipes that are equally good, but on other examples, are different.
    The permutations are all 2^S signs of the differences where seeds are paired, else all C(S_A + S_B, S_A) splits;
    beyond 20,000 of them, 9,999 random ones and the observed one. p = 2 min(tail), at most 1, as in
    `scipy.stats.permutation_test`.
    """
    statistics = _sign_flips(a - b, rng) if paired else _splits(a, b, rng)
    observed = float(np.mean(a) - np.mean(b))
    tolerance = 1e-12 * max(float(np.abs(statistics).max()), abs(observed))  # equal but for rounding
    tail = min(int((statistics <= observed + tolerance).sum()), int((statistics >= observed - tolerance).sum()))
    return PermutationResult(min(2 * tail / len(statistics), 1.0), min(2 / len(statistics), 1.0))


def _sign_flips(differences: Floats, rng: np.random.Generator) -> Floats:
    count = len(differences)
    if 2**count <= MOST_PERMUTATIONS:
        signs = np.array(list(product((1.0, -1.0), repeat=count)))
    else:
        signs = np.concatenate([np.ones((1, count)), rng.choice((1.0, -1.0), size=(RANDOM_PERMUTATIONS, count))])
    return np.asarray(signs @ differences / count)


def _splits(a: Floats, b: Floats, rng: np.random.Generator) -> Floats:
    both, size = np.concatenate([a, b]), len(a)
    if math.comb(len(both), size) <= MOST_PERMUTATIONS:
        chosen = np.array(list(combinations(range(len(both)), size)))
    else:
        shuffled = rng.permuted(np.tile(np.arange(len(both)), (RANDOM_PERMUTATIONS, 1)), axis=1)
        chosen = np.concatenate([np.arange(size)[None], shuffled[:, :size]])
    first = both[chosen].sum(axis=1)
    return np.asarray(first / size - (both.sum() - first) / len(b))


def _resampled_means(values: Floats, rng: np.random.Generator, draws: int) -> Floats:
    """Return the means [B, R] of the rows [R, N] over B draws of N columns with replacement."""
    rows, columns = values.shape
    means = np.empty((draws, rows))
    step = max(1, CHUNK // columns)
    for start in range(0, draws, step):
        size = min(step, draws - start)
        drawn = rng.integers(columns, size=(size, columns)) + columns * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * columns).reshape(size, columns)
        means[start : start + size] = counts @ values.T / columns
    return means
