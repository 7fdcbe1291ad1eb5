"""Batches of a number of tokens: what holds for all lengths, budgets, ranks and places to resume at."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import islice, pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_lightning.budget import Steps
from bert_lightning.data.batching.token_batches import TokenBatches, Windows, batch_boundaries
from bert_lightning.data.datamodule import StreamDataModule
from bert_lightning.data.labelled.examples import LabelledExamples
from bert_lightning.data.labelled.texts import TextClassification
from bert_lightning.data.pretraining.blocks import SingleSentences
from bert_lightning.data.pretraining.pairs import SegmentPairs
from bert_lightning.data.pretraining.phases import Phases
from bert_lightning.errors import UserError
from bert_lightning.text.files.rows import Row
from tests.data.pretraining.test_examples import digest, examples_of


@st.composite
def windows(draw):
    """Any lengths, and any budget that holds the longest of them."""
    table = np.array(draw(st.lists(st.integers(1, 40), min_size=1, max_size=300)))
    longest = int(table.max())
    budget = longest + draw(st.integers(0, 60))
    return Windows(
        lambda positions: table[positions % len(table)], len(table), longest, budget, draw(st.integers(0, 9))
    )


@settings(deadline=None)  # a busy machine is slow
@given(windows(), st.integers(0, 5))
def test_an_epoch_has_every_position_once_and_no_batch_exceeds_the_budget(made, epoch):
    batches = made.epoch_batches(epoch)
    assert sorted(np.concatenate(batches)) == list(range(epoch * made.epoch_size, (epoch + 1) * made.epoch_size))
    assert max(made.lengths(batch).sum() for batch in batches) <= made.max_tokens
    assert all((np.diff(batch) > 0).all() for batch in batches)


@settings(deadline=None)  # a busy machine is slow
@given(windows(), st.integers(1, 4), st.integers(0, 30))
def test_training_goes_on_wherever_a_step_ended(made, ranks, step):
    whole = TokenBatches(made, 40, world_size=ranks)
    position = 0
    for _ in range(step):
        position = whole.after(position)
    for rank in range(ranks):
        all_of_them = islice(TokenBatches(made, 40, rank, ranks), step, 40)
        rest = islice(TokenBatches(made, 40, rank, ranks, position), 40 - step)
        assert [batch.tolist() for batch in rest] == [batch.tolist() for batch in all_of_them]


@settings(deadline=None)  # a busy machine is slow
@given(windows(), st.integers(0, 500))
def test_windows_can_begin_anywhere(made, begin):
    """As where the budget grows during training."""
    made = replace(made, begin=begin)
    first = made.window_at(begin)
    assert first.start == begin
    after = made.window_at(first.stop)
    assert after.start == first.stop
    assert sorted(np.concatenate(made.batches(first) + made.batches(after))) == list(range(begin, after.stop))
    assert all(made.window_at(position) == first for position in first)


@settings(deadline=None)  # a busy machine is slow
@given(windows(), st.integers(2, 4))
def test_ranks_together_are_given_what_one_process_is(made, ranks):
    alone = list(islice(TokenBatches(made, 40), 10 * ranks))
    each = [list(islice(TokenBatches(made, 10, rank, ranks), 10)) for rank in range(ranks)]
    together = [each[rank][step] for step in range(10) for rank in range(ranks)]
    assert [batch.tolist() for batch in together] == [batch.tolist() for batch in alone]


@settings(deadline=None)  # a busy machine is slow
@given(st.lists(st.integers(1, 9), min_size=1), st.integers(9, 30))
def test_batches_are_as_full_as_the_order_allows(lengths, budget):
    parts = np.split(np.array(lengths), batch_boundaries(np.array(lengths), budget))
    assert all(part.sum() <= budget for part in parts)
    assert all(part.sum() + following[0] > budget for part, following in pairwise(parts))


def test_an_example_longer_than_the_budget_is_refused():
    with pytest.raises(UserError, match="batch_tokens=9 is less than the longest example: use 10 or more"):
        Windows(lambda positions: np.full(len(positions), 10), 5, 10, 9, 0)
    with pytest.raises(UserError, match="less than one example of 11 tokens: use 11 or more"):
        batch_boundaries(np.array([3, 11]), 10)


def test_a_position_inside_of_a_batch_is_refused():
    batches = TokenBatches(Windows(lambda positions: np.full(len(positions), 5), 100, 5, 20, 0), 9)
    with pytest.raises(UserError, match="no batch of batch_tokens=20 begins at example 3"):
        batches.global_batch_at(3)


def test_lengths_within_a_batch_are_alike_and_the_order_is_not_that_of_lengths():
    table = np.random.default_rng(0).integers(8, 129, 20_000)
    made = Windows(lambda positions: table[positions % 20_000], 20_000, 128, 2048, 0)
    lengths = [made.lengths(batch) for batch in made.epoch_batches()]
    padded = sum(len(of_batch) * of_batch.max() for of_batch in lengths)
    assert table.sum() / padded > 0.9  # in the stream's own order 0.55
    means = np.array([of_batch.mean() for of_batch in lengths])
    assert abs(np.corrcoef(means[1:], means[:-1])[0, 1]) < 0.1


class _Trainer:
    def __init__(self, steps=20, accumulate=1, rank=0, ranks=1):
        self.accumulate_grad_batches, self.global_rank, self.world_size = accumulate, rank, ranks
        self.lightning_module, self.training = SimpleNamespace(budget=Steps(steps)), True


def batches_of(examples, workers=0, state=None, steps=20, budget=512):
    data = StreamDataModule(examples, examples, 8, 8, workers, budget)
    data.trainer = _Trainer()
    if state is not None:
        data.load_state_dict(state)
    for batch in islice(data.train_dataloader(), steps):
        yield batch
        data.on_before_batch_transfer(batch, 0)


def test_batches_of_the_store_do_not_depend_on_workers_and_can_be_resumed(small_data):
    examples = examples_of(small_data, max_length=64)
    whole = list(batches_of(examples))
    assert all(batch["num_tokens"] <= 512 for batch in whole)
    assert digest(batches_of(examples, workers=2)) == digest(whole)
    data = StreamDataModule(examples, examples, 8, 8, 0, 512)
    data.trainer = _Trainer()
    handed = iter(data.train_dataloader())
    for done in range(1, 12):
        data.on_before_batch_transfer(next(handed), 0)
        assert digest(batches_of(examples, state=data.state_dict(), steps=20 - done)) == digest(whole[done:])


def test_lengths_are_those_of_the_batches(small_data):
    examples = examples_of(small_data, max_length=64)
    positions = np.array([3, 8, 9, 200, 1000])
    batch = examples[positions]
    assert examples.lengths(positions).tolist() == batch["attention_mask"].sum(1).tolist()
    assert digest([examples[np.arange(7, 19)]]) == digest([examples[range(7, 19)]])


def test_phases_keep_their_shares_of_training(small_data):
    """The second phase has the longer examples: a quarter of the examples, but most of the batches."""
    builder = partial(SegmentPairs, max_length=16)
    phases = Phases(small_data.train, builder, [{"share": 0.75, "max_length": 16}, {"share": 0.25, "max_length": 64}])
    examples = replace(examples_of(small_data), phases=phases)
    data = StreamDataModule(examples, examples, 8, 8, 0, 256)
    data.trainer = _Trainer(400)
    loader = data.train_dataloader()
    for batch in islice(loader, 400):
        data.on_before_batch_transfer(batch, 0)
    assert data.position == pytest.approx(data.plan.pace, rel=0.05)


def test_single_sentences_of_all_lengths(small_data):
    examples = replace(examples_of(small_data), phases=Phases.of(SingleSentences(small_data.train, 32)))
    batches = list(batches_of(examples, budget=256))
    places = sum(batch["input_ids"].numel() for batch in batches)
    assert sum(batch["num_tokens"] for batch in batches) / places > 0.9


def test_labelled_texts_in_batches_of_tokens(small_data):
    task_type = TextClassification()
    rows = [Row(f"f:{i}", {"text": "the cat sleeps " * (1 + i % 9), "label": str(i % 2)}) for i in range(90)]
    train = LabelledExamples(task_type, task_type.examples(rows), ["0", "1"], small_data.tokenizer, 64, 0)
    data = StreamDataModule(train, train, 8, batch_tokens=128)
    data.trainer = _Trainer(data.batches_per_epoch())
    batches = list(islice(data.train_dataloader(), data.batches_per_epoch()))
    assert all(batch["num_tokens"] <= 128 for batch in batches)
    seen = [unit.example.id for batch in batches for unit in batch["units"].units]
    assert sorted(seen) == sorted(example.id for example in task_type.examples(rows))


@pytest.mark.parametrize(("size", "ranks"), [(8, 1), (8, 2), (8, 3), (5, 4), (3, 3)])
def test_every_rank_validates_and_no_example_is_left_out(size, ranks, small_data):
    examples = examples_of(small_data, max_length=64)
    counts = []
    for rank in range(ranks):
        data = StreamDataModule(examples, examples, 8, size)
        data.trainer = _Trainer(rank=rank, ranks=ranks)
        counts.append(sum(len(batch["input_ids"]) for batch in data.val_dataloader()))
    assert sum(counts) == size
    assert min(counts) > 0


def test_more_ranks_than_validation_examples_are_refused(small_data):
    examples = examples_of(small_data, max_length=64)
    data = StreamDataModule(examples, examples, 8, 2)
    data.trainer = _Trainer(ranks=3)
    with pytest.raises(UserError, match="2 validation examples are not enough for 3 ranks"):
        data.val_dataloader()
