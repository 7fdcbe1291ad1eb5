"""Simulated studies with known truth: the interval covers it in 95 of 100, and identical arms are rarely different."""

import math

import numpy as np
import pytest

from bert_lightning.compare.intervals import difference_interval, mean_interval
from bert_lightning.compare.multiple_tests import may_be_best
from bert_lightning.compare.resampling import permutation_test
from experiments.comparing_statistics.coverage import contains
from experiments.comparing_statistics.procedures import N, sample
from experiments.comparing_statistics.simulated import CASES, draw

STUDIES = 500
NOISE = 3 * math.sqrt(0.95 * 0.05 / STUDIES)  # three Monte Carlo errors


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}, {case.seeds} seeds")
def test_the_interval_covers_the_truth(case):
    rng = np.random.default_rng(CASES.index(case))
    covered = covered_mean = different = permuted = 0
    for _ in range(STUDIES):
        a, b, mean, difference = draw(case, rng)
        covered += contains(difference_interval(a, b), difference)
        covered_mean += contains(mean_interval(a), mean)
        a, b, *_ = draw(case, rng, identical=True)
        different += not contains(difference_interval(a, b), 0)
        permuted += case.seeds < 10 and permutation_test(a.values, b.values, rng).p <= 0.05  # 10 ms for 10 seeds
    assert 0.93 - NOISE <= covered / STUDIES <= 0.97 + NOISE
    assert 0.93 - NOISE <= covered_mean / STUDIES <= 0.97 + NOISE
    assert different / STUDIES <= 0.06 + NOISE
    assert permuted / STUDIES <= 0.05 + NOISE


@pytest.mark.slow
def test_the_best_arm_is_in_the_set():
    """Five equal arms: each may be called the best one, and one in 40 studies at most excludes it."""
    rng = np.random.default_rng(0)
    kept = 0
    for _ in range(400):
        shared = rng.normal(size=N)
        arms = [sample(rng, 5, 0.1, shared + rng.normal(size=N)) for _ in range(5)]
        intervals = {(x, y): difference_interval(arms[x], arms[y]) for x in range(5) for y in range(5) if x != y}
        better = {(str(x), str(y)): i.p for (x, y), i in intervals.items() if i.estimate > 0}
        kept += may_be_best([str(x) for x in range(5)], better)[0]
    assert kept / 400 >= 0.975 - 3 * math.sqrt(0.975 * 0.025 / 400)
