import math

import pytest
import torch

from bert_lightning.errors import UserError
from bert_lightning.optim import Cosine, Linear, OneMinusSqrt, Polynomial, WarmupStableDecay


def at(schedule, step, steps):
    return schedule(step, step + 1, steps)


ALL = [Linear(0.1), Polynomial(0.1, power=2), Cosine(0.1), OneMinusSqrt(0.1), WarmupStableDecay(0.1, decay=0.2)]


def test_linear_schedule():
    factors = [at(Linear(0.1), step, 100) for step in range(101)]
    assert factors[:10] == pytest.approx([(i + 1) / 11 for i in range(10)])
    assert max(factors) == factors[10] == 1
    assert factors[10:] == pytest.approx(torch.linspace(1, 0, 91).tolist())
    assert factors[99] > 0
    assert [at(Linear(0.0), step, 4) for step in range(4)] == [1, 0.75, 0.5, 0.25]


@pytest.mark.parametrize("schedule", ALL, ids=lambda s: type(s).__name__)
def test_all_warm_up_peak_and_end(schedule):
    factors = [at(schedule, step, 200) for step in range(201)]
    assert factors[:20] == pytest.approx([(i + 1) / 21 for i in range(20)])
    assert factors[20] == 1 == max(factors)
    assert factors[200] == pytest.approx(0, abs=1e-12)
    assert factors[199] > 0
    assert factors[20:] == sorted(factors[20:], reverse=True)


@pytest.mark.parametrize("make", [Linear, Polynomial, Cosine, OneMinusSqrt, WarmupStableDecay])
def test_the_floor_is_where_training_ends(make):
    assert at(make(0.1, floor=0.02), 100, 100) == pytest.approx(0.02)
    assert at(make(0.1, floor=0.02), 10, 100) == pytest.approx(1)


def test_the_warmup_can_rise_from_a_share():
    """JonasGeiping/cramming's triangle: from a quarter of the rate to all of it at three quarters, then down."""
    factors = [at(Linear(0.75, start=0.25), step, 1000) for step in range(1001)]
    for step in (0, 200, 749, 750, 900, 1000):
        expected = min(0.25 + step * 0.75 / 0.75 / 1000, 1 / 0.25 - step / 250)
        assert factors[step] == pytest.approx(expected, abs=2e-3)


def test_shapes_at_points_computed_by_hand():
    assert at(Polynomial(0.0, power=2), 50, 100) == pytest.approx(0.25)
    assert at(Cosine(0.0), 25, 100) == pytest.approx(0.5 + math.sqrt(2) / 4)
    stable = WarmupStableDecay(0.1, decay=0.2)
    assert [at(stable, step, 100) for step in (10, 40, 79, 80)] == pytest.approx([1, 1, 1, 1])
    assert at(stable, 85, 100) == pytest.approx(0.5)  # a quarter of the decay: 1 - sqrt(1/4)
    assert at(WarmupStableDecay(0.0, decay=1.0), 25, 100) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(10000), "warmup=10000 is the share of the budget"),
        (lambda: Cosine(0.1, floor=2), "floor=2 is a factor"),
        (lambda: Polynomial(0.1, power=0), "power=0 must be above 0"),
        (lambda: WarmupStableDecay(0.5, decay=0.6), "decay=0.6 is the share.*warmup=0.5"),
        (lambda: WarmupStableDecay(0.1, decay=0), "decay=0 is the share"),
    ],
)
def test_values_out_of_range_are_named(make, message):
    with pytest.raises(UserError, match=message):
        make()
