"""Batches while the budget is being spent: their sizes, and where phases begin."""

from functools import partial
from types import SimpleNamespace

import pytest

from bert_lightning.budget import Steps, Tokens
from bert_lightning.data.batching.batch_plan import UNREACHED, BatchPlan
from bert_lightning.data.datamodule import StreamDataModule
from bert_lightning.data.pretraining.pairs import SegmentPairs
from bert_lightning.data.pretraining.phases import Phases
from tests.data.pretraining.test_examples import examples_of

SHARES = [{"share": 0.75, "max_length": 16}, {"share": 0.25, "max_length": 64}]


def test_fractions_spent_and_positions_of_a_plan():
    plan = BatchPlan(100, 0.2, 1000)
    assert plan.fractions_spent(range(100, 400, 100)).tolist() == pytest.approx([0.2, 0.3, 0.4])
    assert [plan.position_at(share) for share in (0.1, 0.2, 0.3, 1.0)] == [100, 100, 200, 900]
    blind = BatchPlan(100, 0.2)
    assert blind.fractions_spent(range(100, 1000)).max() == 0.2
    assert [blind.position_at(share) for share in (0.2, 0.3)] == [100, UNREACHED]


def training(small_data, budget, accumulated=1, ranks=1, rank=0, state=None):
    """Sizes and widths of the batches that Lightning would be handed, a step of the budget after each update."""
    phases = Phases(small_data.train, partial(SegmentPairs, max_length=16), SHARES)
    examples = examples_of(small_data)
    data = StreamDataModule(
        type(examples)(phases, examples.masking, examples.special, examples.vocabulary, 0), examples, 16 // ranks
    )
    module = SimpleNamespace(budget=budget, objective=SimpleNamespace(counts=lambda _: {}))
    data.trainer = SimpleNamespace(
        accumulate_grad_batches=accumulated, global_rank=rank, world_size=ranks, lightning_module=module, training=True
    )
    data._mean_over_ranks = lambda values: values
    if state is not None:
        budget.spent, loaded = state
        data.load_state_dict(loaded)
    update = []
    for batch in data.train_dataloader():
        data.on_before_batch_transfer(batch, 0)
        update.append(batch["input_ids"].tolist())
        if len(update) == accumulated:
            yield update, (budget.spent + 1, data.state_dict())
            update = []
            budget.charge(SimpleNamespace(tokens=lambda: 1))
            if budget.exhausted:
                return


def shape(updates):
    return [[len(batch) for batch in update] for update, _ in updates]


@pytest.mark.parametrize("kind", [Steps, Tokens])
def test_batches_grow_and_phases_change_at_their_shares(kind, small_data):
    updates = list(training(small_data, kind(40, ramp=0.5, ramp_levels=4)))
    assert shape(updates) == [[4]] * 5 + [[8]] * 5 + [[12]] * 5 + [[16]] * 25
    widths = [max(map(len, update[0])) for update, _ in updates]
    assert max(widths[:30]) <= 16
    assert min(widths[30:]) > 32
    assert updates[-1][1][1]["position"] == 4 * 5 + 8 * 5 + 12 * 5 + 16 * 25


@pytest.mark.parametrize("kind", [Steps, Tokens])
def test_every_update_is_made_again_after_a_resume_and_by_other_numbers_of_ranks(kind, small_data):
    make = partial(kind, 20, ramp=0.5, ramp_levels=4)
    whole = list(training(small_data, make(), accumulated=2))
    for done in (1, 3, 5, 10, 15, 19):
        rest = list(training(small_data, make(), accumulated=2, state=whole[done - 1][1]))
        assert [update for update, _ in rest] == [update for update, _ in whole[done:]], f"after {done} updates"
    ranks = [list(training(small_data, make(), accumulated=2, ranks=2, rank=rank)) for rank in (0, 1)]
    for number, (update, _) in enumerate(whole):
        mine, theirs = (part[number][0] for part in ranks)
        assert [sum(map(len, (a, b))) for a, b in zip(mine, theirs, strict=True)] == [len(batch) for batch in update]
