"""Intervals beside worked examples, SciPy, and each other."""

import math

import numpy as np
import pytest
from scipy import stats

from bert_lightning.compare.alignment import cluster_values
from bert_lightning.compare.intervals import (
    Component,
    ErrorTerms,
    Sample,
    difference_interval,
    difference_terms,
    examples_interval,
    mean_interval,
    mean_terms,
)

rng = np.random.default_rng(0)


def arm(rows):
    x = np.array(rows, dtype=float)
    return Sample(x.mean(axis=1), (x,))


def random_arm(seeds, examples=30, seed_deviation=1.0):
    return arm(rng.normal(0, seed_deviation, (seeds, 1)) + rng.normal(size=(seeds, examples)))


def variances(components):
    return [c.variance for c in components]


def test_a_worked_example():
    """Rows 1 and 5, columns 1 and 5, residuals 1 and -1: V_seed = V_ex = 8 / 2 and V_res = 4 / 4."""
    a, b = arm([[0, 2], [2, 8]]), arm([[0, 0], [0, 0]])
    terms = difference_terms(a, b)
    assert (variances(terms.seeds), variances(terms.examples), variances(terms.residual)) == ([4, 0], [4], [1, 0])
    assert variances(mean_terms(a).seeds + mean_terms(a).examples + mean_terms(a).residual) == [4, 4, 1]
    assert [c.degrees_of_freedom for c in (*terms.seeds, *terms.examples, *terms.residual)] == [1] * 5
    # t at 49 / 33 degrees of freedom times the root of 7 is less than t at 1 degree times the root of 4.
    interval = difference_interval(a, b)
    assert (interval.estimate, interval.standard_error, interval.degrees_of_freedom) == (3, 2, 1)
    half = stats.t(1).ppf(0.975) * 2
    assert (interval.low, interval.high) == (pytest.approx(3 - half), pytest.approx(3 + half))
    assert interval.p == pytest.approx(2 * stats.t(1).sf(3 / 2))


def terms_of(seeds, examples, residual):
    return ErrorTerms((Component(seeds, 10),), (Component(examples, 20),), (Component(residual, 200),))


def test_the_standard_error_of_both_parts_or_of_the_wider_one():
    both = terms_of(4, 4, 1).standard_error()
    assert both == (pytest.approx(math.sqrt(7)), pytest.approx(49 / (16 / 10 + 16 / 20 + 1 / 200)))
    assert terms_of(4, 1, 2).standard_error() == (2, pytest.approx(10))  # 4 + 1 - 2 is less than 4
    assert terms_of(1, 4, 2).standard_error() == (2, pytest.approx(20))
    few = ErrorTerms((Component(4, 2),), (Component(0.1, 20),), (Component(0, 40),))
    assert few.standard_error() == (2, pytest.approx(2))  # the root of 4.1, with its 2.1 degrees, is narrower
    assert terms_of(0, 0, 0).standard_error()[0] == 0


def test_more_variance_of_residuals_than_of_seeds_and_examples():
    """V_seed = 1/18, V_ex = 1/36 and V_res = 1/18."""
    a, b = arm([[0, 1, 1], [1, 1, 1]]), arm([[0, 0, 1], [0, 1, 1]])
    interval = difference_interval(a, b)
    assert interval.standard_error == pytest.approx(math.sqrt(1 / 18))
    assert interval.degrees_of_freedom == pytest.approx(2)  # Welch's, of two seeds each with equal variances


@pytest.mark.parametrize(("count_a", "count_b"), [(3, 3), (5, 2), (10, 4)])
def test_whole_values_give_welch_t_test(count_a, count_b):
    a, b = rng.normal(size=count_a), rng.normal(0.5, 3, size=count_b)
    interval, welch = difference_interval(Sample(a), Sample(b)), stats.ttest_ind(a, b, equal_var=False)
    expected = welch.confidence_interval()
    assert (interval.low, interval.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert (interval.p, interval.degrees_of_freedom) == (pytest.approx(welch.pvalue), pytest.approx(welch.df))
    assert "exactly these examples" in interval.reason


def test_paired_whole_values_give_the_paired_t_test():
    a, b = rng.normal(size=(2, 6))
    interval, paired = difference_interval(Sample(a), Sample(b), paired=True), stats.ttest_rel(a, b)
    assert (interval.p, interval.degrees_of_freedom) == (pytest.approx(paired.pvalue), 5)


def test_one_mean_of_whole_values_is_the_t_interval():
    values = rng.normal(size=7)
    interval = mean_interval(Sample(values))
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert (interval.low, interval.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_pairing_is_the_interval_of_the_differences():
    a, b = random_arm(4), random_arm(4)
    both = arm(a.parts[0] - b.parts[0])
    paired, expected = difference_terms(a, b, paired=True), mean_terms(both)
    for name in ("seeds", "examples", "residual"):
        (component,), (same,) = getattr(paired, name), getattr(expected, name)
        assert component.variance == pytest.approx(same.variance)
        assert component.degrees_of_freedom == same.degrees_of_freedom


def test_examples_alone_are_a_paired_t_test_over_examples():
    a, b = random_arm(1), random_arm(1)
    expected = stats.ttest_rel(a.parts[0][0], b.parts[0][0]).confidence_interval()
    interval = examples_interval(a, b)
    assert (interval.low, interval.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert difference_interval(a, b).low is None
    assert "says nothing about other seeds" in difference_interval(a, b).reason


def test_one_seed_varies_as_the_other_arm_does():
    """Crawford & Howell 1998: t = (one - mean) / (sd sqrt(1 + 1 / n)), with n - 1 degrees of freedom."""
    one, several = np.array([3.0]), rng.normal(size=5)
    for a, b, sign in ((one, several, 1), (several, one, -1)):
        interval = difference_interval(Sample(a), Sample(b))
        t = sign * (3 - several.mean()) / (several.std(ddof=1) * math.sqrt(1 + 1 / 5))
        assert interval.p == pytest.approx(2 * stats.t(4).sf(abs(t)))
        assert interval.degrees_of_freedom == pytest.approx(4)
        assert "assumed to vary" in interval.reason


def test_an_average_has_the_examples_of_all_tasks():
    a, b = (Sample(arms[0].values, arms[0].parts * 3) for arms in ([random_arm(4)], [random_arm(4)]))
    once = difference_terms(Sample(a.values, a.parts[:1]), Sample(b.values, b.parts[:1]))
    terms = difference_terms(a, b)
    assert terms.seeds == once.seeds  # they already contain what the tasks share
    assert sum(variances(terms.examples)) == pytest.approx(sum(variances(once.examples)) / 3)
    assert sum(variances(terms.residual)) == pytest.approx(sum(variances(once.residual)) / 3)


def test_clusters_of_one_example_change_nothing_and_clusters_keep_the_mean():
    values = rng.normal(size=12)
    assert cluster_values(values, np.arange(12)) == pytest.approx(values)
    numbers = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 3])
    assert cluster_values(values, numbers).mean() == pytest.approx(values.mean())


def test_clusters_have_the_variance_of_a_ratio():
    """Equal clusters: the variance between the means of clusters, as if each cluster were one example."""
    values = rng.normal(size=20)
    clustered = cluster_values(values, np.repeat(np.arange(5), 4))
    assert clustered == pytest.approx(values.reshape(5, 4).mean(axis=1))


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ([[0.0, 1.0]] * 3, [[0.0, 1.0]] * 3, "do not vary"),
        ([[0.5, 0.5]] * 3, [[0.2, 0.2]] * 3, "do not vary"),
        ([[0.5, 0.5], [math.nan, 1.0]], [[0.2, 0.2], [0.3, 0.3]], "not finite"),
        ([[0.5, 0.5], [math.inf, 1.0]], [[0.2, 0.2], [0.3, 0.3]], "not finite"),
        ([[0.5, 0.5]], [[0.2, 0.3]], "one seed for each arm"),
    ],
)
def test_no_number_where_none_is_right(a, b, reason):
    interval = difference_interval(arm(a), arm(b))
    assert (interval.low, interval.high, interval.p) == (None, None, None)
    assert reason in interval.reason
