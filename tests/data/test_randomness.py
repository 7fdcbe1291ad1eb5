import numpy as np
import pytest

from bert_lightning.data.randomness import random_bits, random_permutation, uniform_floats, uniform_integers


def test_draws_depend_on_every_counter_and_on_nothing_else():
    rows = random_bits(7, np.arange(50)[:, None], np.arange(40))
    assert len(np.unique(rows)) == 2000
    assert rows[3, 9] == random_bits(7, 3, 9)
    assert rows[3, 9] != random_bits(8, 3, 9)
    assert random_bits(7, 3, 9) != random_bits(7, 9, 3)


def test_seeds_may_be_large():
    assert random_bits(2**63, 1) != random_bits(0, 1)


def test_uniform_is_uniform_and_neighbours_are_independent():
    values = uniform_floats(random_bits(1, np.arange(200_000)))
    assert 0 <= values.min() <= values.max() < 1
    assert np.histogram(values, 20)[0] / 200_000 == pytest.approx(np.full(20, 0.05), abs=0.003)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.01


def test_integers_cover_their_range():
    counts = np.bincount(uniform_integers(random_bits(2, np.arange(100_000)), 7), minlength=7)
    assert counts / 100_000 == pytest.approx(np.full(7, 1 / 7), abs=0.006)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 65, 1000, 4097])
def test_permutations_reach_every_place_once(size):
    for key in (0, 123):
        assert sorted(random_permutation(np.arange(size), size, key)) == list(range(size))


def test_permutations_differ_by_key_and_mix_far():
    first, second = random_permutation(np.arange(5000), 5000, 1), random_permutation(np.arange(5000), 5000, 2)
    assert (first == second).mean() < 0.01
    assert abs(np.corrcoef(np.arange(5000), first)[0, 1]) < 0.05


def test_a_position_far_into_a_huge_permutation_costs_the_same():
    last = random_permutation(np.array([10**12 - 1]), 10**12, 5)
    assert 0 <= last[0] < 10**12
