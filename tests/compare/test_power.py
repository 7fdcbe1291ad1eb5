import math

import numpy as np
import pytest
from scipy import stats

from bert_lightning.compare.intervals import Component, ErrorTerms
from bert_lightning.compare.power import (
    best_finetuning_seeds,
    detectable_difference,
    example_floor,
    seed_deviations,
    seeds_to_detect,
)


@pytest.mark.parametrize("df", [2, 4, 8, 100])
def test_the_detectable_difference_has_a_power_of_80_percent(df):
    noncentrality = detectable_difference(1.0, df)
    assert stats.nct(df, noncentrality).sf(stats.t(df).ppf(0.975)) == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize(("seeds", "points"), [(3, 6.6), (5, 4.4), (10, 2.9)])
def test_the_detectable_differences_of_rte(seeds, points):
    """BERT-base varies by 2.17 points on RTE; the usual approximation by t quantiles gives these differences."""
    assert detectable_difference(2.17 * math.sqrt(2 / seeds), 2 * (seeds - 1)) == pytest.approx(points, abs=0.1)


def study(between, examples, seeds):
    v = Component(between**2 / seeds, seeds - 1)
    return ErrorTerms((v, v), (Component(examples, 399),), (Component(0.0, 1),))


def test_the_seeds_to_detect_are_the_first_that_do():
    needed = seeds_to_detect(0.02, study(0.02, 0.0, 3), (3, 3))
    assert needed == 17  # the sample size of a t test for an effect of 1 standard deviation at a power of 80 %
    assert seeds_to_detect(0.02, study(0.02, 0.0, 8), (8, 8)) == needed  # whatever the seeds of the pilot


def test_no_number_of_seeds_gets_below_the_examples():
    terms = study(0.02, 0.005**2, 5)
    floor = example_floor(terms)
    assert floor == pytest.approx(0.005 * 2.81, rel=0.01)
    assert seeds_to_detect(floor, terms, (5, 5)) is None
    assert seeds_to_detect(1.2 * floor, terms, (5, 5)) is not None
    assert example_floor(study(0.02, 0.0, 5)) == 0


def test_fine_tuning_seeds_by_their_cost():
    assert best_finetuning_seeds(between=0.01, within=0.02, cost_seed=900, cost_finetuning=100) == pytest.approx(6)
    assert best_finetuning_seeds(between=0.05, within=0.01, cost_seed=100, cost_finetuning=100) == 1
    assert best_finetuning_seeds(between=0.0, within=0.01, cost_seed=100, cost_finetuning=100) is None


def test_deviations_between_and_within_seeds():
    """Means 2 and 6: variance 8. Within: (2 + 2) / 2 = 2, of which half is in a mean of two. Between: 8 - 1."""
    between, within = seed_deviations([np.array([1.0, 3.0]), np.array([5.0, 7.0])])
    assert (between, within) == (pytest.approx(math.sqrt(7)), pytest.approx(math.sqrt(2)))
    assert seed_deviations([np.array([1.0, 3.0]), np.array([3.0, 1.0])])[0] == 0  # less than fine-tuning explains
    assert seed_deviations([np.array([1.0]), np.array([3.0])]) == (pytest.approx(math.sqrt(2)), None)
    assert seed_deviations([np.array([1.0, 3.0])]) == (None, pytest.approx(math.sqrt(2)))
    assert seed_deviations([np.array([1.0])]) == (None, None)
