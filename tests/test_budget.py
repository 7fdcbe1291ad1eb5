"""Budgets count correctly, and batch sizes and schedules follow the fraction spent."""

from types import SimpleNamespace

import pytest
import torch

from bert_lightning.budget import Flops, Minutes, Steps, Tokens
from bert_lightning.errors import UserError
from bert_lightning.optim import Cosine, Linear, WarmupStableDecay

METER = SimpleNamespace(tokens=lambda: 500, flops=lambda: 2_000_000, microseconds=lambda: 1_500_000)


@pytest.mark.parametrize(
    ("budget", "updates", "spent"),
    [(Steps(7), 7, 7), (Tokens(3e3), 6, 3000), (Flops(9e6), 5, 1e7), (Minutes(0.1), 4, 0.1)],
)
def test_what_an_update_costs_and_which_is_the_last(budget, updates, spent):
    for number in range(updates):
        assert not budget.exhausted, number
        budget.charge(METER)
    assert budget.exhausted
    assert budget.fraction_spent == 1
    assert budget.summary()["spent"] == pytest.approx(spent)
    assert budget.summary()["share"] == pytest.approx(spent / budget.summary()["total"])


@pytest.mark.parametrize(
    ("schedule", "half", "nine_tenths"),
    [(Linear(0.1), 5 / 9, 1 / 9), (Cosine(0.0), 0.5, 0.0245), (WarmupStableDecay(0.1, decay=0.2), 1, 1 - 0.5**0.5)],
)
@pytest.mark.parametrize(("kind", "amount"), [(Steps, 10_000), (Tokens, 5e6), (Flops, 2e10), (Minutes, 250)])
def test_the_learning_rate_follows_the_share_whatever_is_counted(schedule, half, nine_tenths, kind, amount):
    budget, factors = kind(amount), {}
    while not budget.exhausted:
        budget.charge(METER)
        factors[round(budget.fraction_spent, 6)] = schedule(budget.before, budget.spent, budget.total)
    assert len(factors) == 10_000
    if schedule.warmup:
        assert 0 < factors[0.0001] < 0.002
        assert factors[0.05] == pytest.approx(0.5, abs=1e-3)
    assert factors[0.5] == pytest.approx(half, abs=1e-3)
    assert factors[0.9] == pytest.approx(nine_tenths, abs=1e-3)
    assert 0 < factors[1.0] < 0.01


def test_the_batch_grows_in_levels_to_its_full_size():
    budget = Tokens(1e6, ramp=0.6, ramp_levels=4)
    assert budget.growth_points == pytest.approx((0.15, 0.3, 0.45))
    shares = (0.0, 0.1499, 0.1501, 0.3001, 0.4499, 0.4501, 0.6, 1.0)
    assert [budget.batch_size(64, share) for share in shares] == [16, 16, 32, 48, 48, 64, 64, 64]
    assert budget.batch_sizes(64) == [16, 32, 48, 64]
    assert budget.batch_sizes(2) == [1, 1, 2, 2]
    assert Tokens(1e6).batch_sizes(64) == [64]


def test_large_amounts_are_counted_exactly_and_can_be_kept(tmp_path):
    """More than 64 bits hold."""
    budget = Flops(5e20)
    budget.spent = budget.total - 1
    budget.charge(METER)
    assert budget.exhausted
    torch.save({"spent": budget.spent}, tmp_path / "x.ckpt")
    assert torch.load(tmp_path / "x.ckpt", weights_only=True) == {"spent": 5 * 10**20 + 1_999_999}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Steps(0), "trainer.max_steps=0 must be 1 or more: a number of steps"),
        (lambda: Steps(1.5), "trainer.max_steps=1.5 must be a whole number"),
        (lambda: Steps(None), "trainer.max_steps=None must be 1 or more"),
        (lambda: Tokens(0), "budget.tokens=0 must be 1 or more: a number of tokens"),
        (lambda: Flops("many"), "budget.flops=many must be 1 or more: a number of FLOPs"),
        (lambda: Minutes(-1), "budget.minutes=-1 must be above 0: a number of minutes"),
        (lambda: Minutes(float("inf")), "budget.minutes=inf must be above 0"),
        (lambda: Minutes(float("nan")), "budget.minutes=nan must be above 0"),
        (lambda: Steps(9, ramp=1.5), "budget.ramp=1.5 must be above 0 and at most 1: the batch grows in this fraction"),
        (lambda: Steps(9, ramp=0), "budget.ramp=0 must be above 0"),
        (lambda: Steps(9, ramp=0.5, ramp_levels=1), "budget.ramp_levels=1 must be 2 or more"),
        (lambda: Tokens(5).check(lambda: 6), "budget.tokens=5 is less than one batch: use 6 or more"),
    ],
)
def test_budgets_that_cannot_be(make, message):
    with pytest.raises(UserError, match=message):
        make()
