from itertools import combinations

import numpy as np
import pytest

from bert_lightning.compare.multiple_tests import holm, may_be_best


def test_holm_on_worked_examples():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([0.02, 0.02, 0.02]) == pytest.approx([0.06, 0.06, 0.06])
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_holm_is_closed_testing_with_bonferroni():
    """An adjusted p is the largest Bonferroni p of any set of hypotheses with this one (Marcus et al. 1976)."""
    p = np.random.default_rng(0).random(5) ** 3
    sets = [s for size in range(1, 6) for s in combinations(range(5), size)]
    closed = [min(max(len(s) * min(p[list(s)]) for s in sets if i in s), 1) for i in range(5)]
    assert holm(list(p)) == pytest.approx(closed)


def test_an_arm_is_excluded_by_a_better_one_at_a_level_for_all_its_tests():
    better = {("a", "b"): 0.02, ("a", "c"): 0.03, ("b", "c"): None}
    assert may_be_best(["a", "b", "c"], better) == [True, False, True]  # 0.05 / 2
    assert may_be_best(["a", "b"], {("a", "b"): 0.03}) == [True, False]
    assert may_be_best(["a"], {}) == [True]
