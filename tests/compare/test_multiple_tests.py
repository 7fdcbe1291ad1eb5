import pytest

from bert_lightning.compare.multiple_tests import holm, may_be_best


def test_holm_on_worked_examples():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([0.02, 0.02, 0.02]) == pytest.approx([0.06, 0.06, 0.06])
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_an_arm_is_excluded_by_a_better_one_at_a_level_for_all_its_tests():
    better = {("a", "b"): 0.02, ("a", "c"): 0.03, ("b", "c"): None}
    assert may_be_best(["a", "b", "c"], better) == [True, False, True]  # 0.05 / 2
    assert may_be_best(["a", "b"], {("a", "b"): 0.03}) == [True, False]
    assert may_be_best(["a"], {}) == [True]
