"""Bootstrap beside the published algorithm, written plainly; permutations beside SciPy's."""

import math

import numpy as np
import pytest
from scipy import stats

from bert_lightning.compare.intervals import Sample
from bert_lightning.compare.resampling import example_draws, multi_bootstrap, permutation_test, seed_draws

SEEDS, EXAMPLES, DRAWS = 4, 25, 4000


def arm(x):
    return Sample(x.mean(axis=1), (x,))


def published(a, b, rng, paired):
    """The Multi-Bootstrap of Sellam et al. 2022, section 3, draw by draw: examples are shared by the arms."""
    differences = []
    for _ in range(DRAWS):
        examples = rng.integers(EXAMPLES, size=EXAMPLES)
        seeds_a = rng.integers(len(a), size=len(a))
        seeds_b = seeds_a if paired else rng.integers(len(b), size=len(b))
        differences.append(a[seeds_a][:, examples].mean() - b[seeds_b][:, examples].mean())
    return np.array(differences)


@pytest.mark.parametrize("paired", [False, True])
def test_the_bootstrap_has_the_distribution_of_the_published_algorithm(paired):
    rng = np.random.default_rng(3)
    seeds = rng.normal(size=(SEEDS, 1))
    a, b = (seeds + rng.normal(size=(SEEDS, EXAMPLES)) for _ in range(2))
    expected = published(a, b, rng, paired)
    values_a, values_b = example_draws([arm(a), arm(b)], rng, DRAWS)
    weights = seed_draws(SEEDS, rng, DRAWS)
    other = weights if paired else seed_draws(SEEDS, rng, DRAWS)
    drawn = (values_a * weights).sum(axis=1) - (values_b * other).sum(axis=1)
    # Monte Carlo error of a standard deviation: 1 / sqrt(2 B); of a quantile at 2.5 %: 2.7 SE / sqrt(B).
    error = expected.std()
    assert drawn.std() == pytest.approx(error, rel=4 * math.sqrt(2 / (2 * DRAWS)))
    assert drawn.mean() == pytest.approx(expected.mean(), abs=4 * error * math.sqrt(2 / DRAWS))
    result = multi_bootstrap(values_a, values_b, weights, other)
    low, high = np.quantile(expected, [0.025, 0.975])
    assert [result.low, result.high] == pytest.approx([low, high], abs=4 * 2.7 * error * math.sqrt(2 / DRAWS))
    assert stats.ks_2samp(drawn, expected).pvalue > 0.001


def test_p_of_the_bootstrap_counts_the_tail_and_one():
    values = np.array([[-1.0], [2.0], [3.0], [4.0]])
    ones, zeros = np.ones((4, 1)), np.zeros((4, 1))
    assert multi_bootstrap(values, zeros, ones, ones).p == 2 * (1 + 1) / 5
    assert multi_bootstrap(abs(values), zeros, ones, ones).p == 2 * 1 / 5
    assert multi_bootstrap(zeros, zeros, ones, ones).p == 1


def test_tasks_share_draws_of_seeds_and_have_draws_of_examples_of_their_own():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 200)), rng.normal(size=(3, 200))
    average = Sample((x.mean(axis=1) + y.mean(axis=1)) / 2, (x, y))
    (drawn,) = example_draws([average], rng, DRAWS)
    expected = (x.var(axis=1) + y.var(axis=1)) / 4 / 200  # independent draws: the variances add up
    assert drawn.var(axis=0) == pytest.approx(expected, rel=0.1)
    assert drawn.mean(axis=0) == pytest.approx(average.values, abs=0.01)


def test_whole_values_are_the_same_in_each_draw():
    (drawn,) = example_draws([Sample(np.array([0.25, 0.5]))], np.random.default_rng(0), 10)
    assert (drawn == [0.25, 0.5]).all()


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("difference", [0.0, 1.5, 10.0])
def test_the_permutation_test_is_that_of_scipy(paired, difference):
    rng = np.random.default_rng(1)
    a, b = rng.normal(difference, size=5), rng.normal(size=5 if paired else 4)
    expected = stats.permutation_test(
        (a, b),
        lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
        permutation_type="samples" if paired else "independent",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert permutation_test(a, b, rng, paired).p == pytest.approx(expected.pvalue)


def test_the_smallest_p_of_a_permutation_test():
    rng = np.random.default_rng(0)
    floors = {(3, True): 0.25, (5, True): 0.0625, (3, False): 0.1, (4, False): 2 / 70}
    for (count, paired), floor in floors.items():
        result = permutation_test(10 + rng.normal(size=count), rng.normal(size=count), rng, paired)
        assert (result.p, result.floor) == (pytest.approx(floor), pytest.approx(floor))


def test_many_seeds_are_permuted_at_random():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, size=20), rng.normal(size=20)
    for paired, exact in ((False, stats.ttest_ind(a, b)), (True, stats.ttest_rel(a, b))):
        assert permutation_test(a, b, rng, paired).p == pytest.approx(exact.pvalue, abs=0.02)
