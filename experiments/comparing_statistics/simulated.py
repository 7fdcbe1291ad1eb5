"""Simulated studies with known truth: arms x pretraining seeds x examples of Gaussian values, accuracies and F1."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import ndtr

from bert_lightning.compare.example_values import pseudo_values
from bert_lightning.compare.intervals import Sample

POSITIVE = 0.3  # fraction of positive examples of the F1 cases


@dataclass(frozen=True)
class Case:
    """Standard deviations of the random effects. In accuracy and F1 they are on the scale of a probit."""

    name: str
    kind: str  # gaussian, accuracy or f1
    seeds: int
    examples: int = 400
    seed: float = 0.1  # of a pretraining seed
    own: float = 1.0  # of an example in one arm: what the arms find differently hard
    residual: float = 0.5  # of an example in one run; accuracy and F1 draw 0 or 1 in addition
    shared: float = 1.0  # of an example in every arm
    level: float = 1.0  # mean of the first arm, as a probit
    difference: float = 0.15  # first arm minus second


def draw(case: Case, rng: np.random.Generator, identical: bool = False) -> tuple[Sample, Sample, float, float]:
    """Return one study of two arms, the true mean of the first, and the true difference.

    Identical arms are runs of one recipe: they differ in nothing but their seeds.
    """
    n, s = case.examples, case.seeds
    shared = rng.normal(0, case.shared, n)
    both = rng.normal(0, case.own, n)
    positive = rng.random(n) < POSITIVE
    samples, truths = [], []
    for arm in range(2):
        level = case.level - (0 if identical else case.difference * arm)
        own = both if identical else rng.normal(0, case.own, n)
        seeds = rng.normal(0, case.seed, (s, 1))
        x = level + seeds + shared + own + rng.normal(0, case.residual, (s, n))
        if case.kind == "accuracy":
            x = (rng.random((s, n)) < ndtr(x)).astype(float)
        if case.kind == "f1":
            predicted = rng.random((s, n)) < np.where(positive, ndtr(x), 1 - ndtr(x))
            samples.append(f1_sample(positive, predicted))
        else:
            samples.append(Sample(x.mean(axis=1), (x,)))
        truths.append(true_mean(case, level))
    return samples[0], samples[1], truths[0], truths[0] - truths[1]


@cache
def true_mean(case: Case, level: float) -> float:
    """Return the expectation over seeds of the population's value."""
    if case.kind == "gaussian":
        return level
    spread = np.sqrt(1 + case.own**2 + case.shared**2 + case.residual**2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    right = ndtr((level + case.seed * nodes) / spread)  # accuracy of each possible seed, in either class
    values = right
    if case.kind == "f1":
        values = 2 * POSITIVE * right / (POSITIVE + POSITIVE * right + (1 - POSITIVE) * (1 - right))
    return float((values * weights).sum() / weights.sum())


def f1_sample(gold: np.ndarray, predicted: np.ndarray) -> Sample:
    """Return F1 [S] of each run, and jackknife pseudo-values [S, N], moved so that their mean is F1."""
    values, rows = [], []
    for run in predicted:
        hits, wrong = int((run & gold).sum()), int((run != gold).sum())
        f1 = 2 * hits / (2 * hits + wrong)
        without = 2 * (hits - (run & gold)) / (2 * (hits - (run & gold)) + wrong - (run != gold))
        values.append(f1)
        rows.append(pseudo_values(f1, without))
    return Sample(np.array(values), (np.array(rows),))


def _cases() -> list[Case]:
    cases = []
    for seeds in (3, 5, 10):
        cases += [
            Case("seed noise dominates", "gaussian", seeds, seed=1.0),
            Case("mixed", "gaussian", seeds, seed=0.07),
            Case("example noise dominates", "gaussian", seeds, seed=0.02),
            Case("accuracy, noisy seeds", "accuracy", seeds, seed=0.3),
            Case("accuracy, mixed", "accuracy", seeds, seed=0.08),
            Case("accuracy of 98 %", "accuracy", seeds, seed=0.08, level=3.5, difference=0.2),
            Case("F1, noisy seeds", "f1", seeds, seed=0.3),
            Case("F1, mixed", "f1", seeds, seed=0.08),
        ]
    return cases


CASES = _cases()
