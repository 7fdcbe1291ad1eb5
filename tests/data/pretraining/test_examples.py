import hashlib
import pickle
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from functools import partial
from itertools import islice
from types import SimpleNamespace

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from bert_lightning.budget import Steps
from bert_lightning.data.batching.batch_plan import END_OF_TRAINING, BatchPlan
from bert_lightning.data.batching.sampler import SequentialBatches, StreamBatches, stream_indices
from bert_lightning.data.datamodule import StreamDataModule
from bert_lightning.data.pretraining.blocks import DocumentSentences, FullSentences, SingleSentences
from bert_lightning.data.pretraining.examples import PretrainingExamples
from bert_lightning.data.pretraining.masking import (
    NgramMasking,
    RateSchedule,
    ReplacementVocabulary,
    SpanMasking,
    TokenMasking,
    WholeWordMasking,
)
from bert_lightning.data.pretraining.packing import PackedSequences
from bert_lightning.data.pretraining.pairs import SegmentPairs, SentenceOrderPairs
from bert_lightning.data.pretraining.phases import Phases
from bert_lightning.errors import UserError
from bert_lightning.text.tokenizers.recipes import SpecialIds


def examples_of(data, seed=0, max_length=128):
    return PretrainingExamples(
        Phases.of(SegmentPairs(data.train, max_length)),
        TokenMasking(),
        SpecialIds.of(data.tokenizer),
        ReplacementVocabulary.of(data.tokenizer),
        seed,
    )


def digest(batches):
    result = hashlib.sha256()
    for batch in batches:
        for key in sorted(batch):
            value = batch[key]
            result.update(value.numpy().tobytes() if isinstance(value, torch.Tensor) else str(value).encode())
    return result.hexdigest()


def loader(examples, steps, workers, batch_size=16, start=0):
    data = StreamDataModule(examples, examples, batch_size, num_workers=workers)
    data.position = start
    module = SimpleNamespace(budget=Steps(steps))
    data.trainer = SimpleNamespace(accumulate_grad_batches=1, global_rank=0, world_size=1, lightning_module=module)
    return islice(data.train_dataloader(), steps)


@pytest.fixture(scope="module")
def examples(reviews_data):
    return examples_of(reviews_data)


def test_layout_of_a_batch(examples, reviews_data):
    special = examples.special
    batch = examples[range(0, 32)]
    ids, types, mask = (batch[key] for key in ("input_ids", "token_type_ids", "attention_mask"))
    original = ids.flatten().clone()
    original[batch["masked_positions"]] = batch["masked_labels"]
    original = original.view_as(ids)
    lengths = mask.sum(1)
    assert batch["num_tokens"] == lengths.sum()
    assert lengths.max() == ids.shape[1]  # padded to the batch, not to the longest possible
    for row, length in zip(range(32), lengths.tolist(), strict=True):
        words = original[row]
        separators = (words == special.sep).nonzero().flatten().tolist()
        assert words[0] == special.cls
        assert separators[1] == length - 1
        assert (words[length:] == special.pad).all()
        assert (mask[row] == (torch.arange(ids.shape[1]) < length)).all()
        expected = (torch.arange(ids.shape[1]) > separators[0]) & mask[row].bool()
        assert torch.equal(types[row].bool(), expected)


def test_words_are_those_of_the_store(examples, reviews_data):
    batch = examples[range(100, 116)]
    _, indices = stream_indices(range(100, 116), len(examples), 0)
    store, chunks = reviews_data.train, examples.phases[0].builder.chunks
    ids = batch["input_ids"].flatten().clone()
    ids[batch["masked_positions"]] = batch["masked_labels"]
    ids = ids.view_as(batch["input_ids"])
    for row, index in enumerate(indices):
        begin, end = store.sentences[chunks[index]]
        chunk = store.tokens[begin:end].astype(np.int64)
        first = ids[row][(batch["token_type_ids"][row] == 0) & batch["attention_mask"][row].bool()][1:-1].numpy()
        windows = np.lib.stride_tricks.sliding_window_view(chunk, len(first))
        assert (windows == first).all(axis=1).any()


def test_special_tokens_are_never_masked_and_rates_hold(examples):
    tokens = masked = hidden = kept = 0
    special = examples.special
    for start in range(0, 3200, 64):
        batch = examples[range(start, start + 64)]
        labels = batch["masked_labels"]
        assert not torch.isin(labels, torch.tensor([special.pad, special.cls, special.sep, special.mask])).any()
        got = batch["input_ids"].flatten()[batch["masked_positions"]]
        tokens += batch["num_tokens"] - 3 * 64
        masked, hidden, kept = masked + len(labels), hidden + (got == special.mask).sum(), kept + (got == labels).sum()
    assert masked / tokens == pytest.approx(0.15, abs=0.002)
    assert hidden / masked == pytest.approx(0.8, abs=0.01)
    assert kept / masked == pytest.approx(0.1, abs=0.01)


def test_an_epoch_has_every_example_once_and_the_next_differs(examples):
    size = len(examples)
    first, second = (stream_indices(range(e * size, (e + 1) * size), size, 0) for e in range(2))
    assert sorted(first[1]) == sorted(second[1]) == list(range(size))
    assert (first[1] != second[1]).mean() > 0.99
    assert set(first[0]) == {0}
    assert set(second[0]) == {1}


def test_masks_are_new_in_each_epoch(small_data):
    examples = examples_of(small_data, max_length=64)
    size = len(examples)
    _, order = stream_indices(range(size), size, 0)
    _, later = stream_indices(range(size, 2 * size), size, 0)
    slot, again = 5, int(np.nonzero(later == order[5])[0][0])
    first, second = examples[range(slot, slot + 1)], examples[range(size + again, size + again + 1)]
    assert digest([first]) != digest([second])


def test_a_batch_can_be_made_alone_and_another_seed_makes_another(examples, reviews_data):
    assert digest([examples[range(640, 656)]]) == digest([examples[range(640, 656)]])
    assert digest([examples[range(640, 656)]]) != digest([examples_of(reviews_data, seed=1)[range(640, 656)]])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")  # the machine may have two cores
@pytest.mark.parametrize("count", [500, pytest.param(5000, marks=pytest.mark.slow)])
def test_batches_are_the_same_for_every_number_of_workers_and_in_another_process(count, examples, reviews_data):
    expected = digest(loader(examples, count, 0, 4))
    assert digest(loader(examples, count, 1, 4)) == expected
    assert digest(loader(examples, count, 4, 4)) == expected
    program = (
        "from pathlib import Path; from tests.data.pretraining.test_examples import digest, examples_of, loader\n"
        "from bert_lightning.data.store.preparation import open_prepared\n"
        f"print(digest(loader(examples_of(open_prepared(Path({str(reviews_data.folder)!r}))), {count}, 0, 4)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == expected


def test_any_position_can_be_resumed_and_gives_the_same_batches(examples):
    whole = [digest([examples[positions]]) for positions in StreamBatches(8, 300)]
    for start in np.random.default_rng(0).integers(0, 300, 20).tolist():
        rest = [digest([examples[positions]]) for positions in StreamBatches(8, 300, start=8 * start)]
        assert rest == whole[start:]


def test_ranks_together_make_the_batches_of_one(examples):
    """Row by row: the padding of a rank's batch is its own."""

    def rows(batch):
        ids, mask = batch["input_ids"].clone(), batch["attention_mask"].bool()
        original = ids.flatten().clone()
        original[batch["masked_positions"]] = batch["masked_labels"]
        labels = batch["next_sentence_label"].tolist()
        return [
            (row[m].tolist(), was[m].tolist(), label)
            for row, was, m, label in zip(ids, original.view_as(ids), mask, labels, strict=True)
        ]

    alone = [rows(examples[positions]) for positions in StreamBatches(8, 40)]
    for world in (2, 4):
        ranks = [list(StreamBatches(8 // world, 40, rank, world)) for rank in range(world)]
        together = [[row for rank in ranks for row in rows(examples[rank[b]])] for b in range(40)]
        assert together == alone
        shares = [torch.cat([examples[rank[b]]["sampling_uniforms"] for rank in ranks]) for b in range(3)]
        whole = [examples[positions]["sampling_uniforms"] for positions in StreamBatches(8, 3)]
        assert all(torch.equal(one, other) for one, other in zip(shares, whole, strict=True))


def test_the_end_of_an_epoch_is_as_near_as_its_beginning(examples):
    def seconds(start):
        started = time.perf_counter()
        next(iter(loader(examples, 10**6, 0, start=start)))
        return time.perf_counter() - started

    late = int(0.99 * len(examples))
    pairs = [(seconds(0), seconds(late)) for _ in range(30)]
    assert np.median([after / before for before, after in pairs]) < 1.5


def test_ranks_share_the_global_batches():
    alone = list(StreamBatches(8, 3))
    ranks = [list(StreamBatches(2, 3, rank, 4)) for rank in range(4)]
    assert [[p for rank in ranks for p in rank[b]] for b in range(3)] == [list(batch) for batch in alone]


def test_evaluation_sees_every_example_once():
    assert [p for batch in SequentialBatches(10, 4) for p in batch] == list(range(10))
    assert len(list(SequentialBatches(10, 4))) == len(SequentialBatches(10, 4)) == 3


def test_loading_does_not_move_the_models_randomness(small_data):
    examples = examples_of(small_data, max_length=64)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for workers in (0, 1):
        list(loader(examples, 3, workers))
    assert torch.equal(torch.get_rng_state(), before)


def test_an_interrupted_training_is_given_what_it_missed(small_data, tmp_path):
    """Under Lightning: what a checkpoint keeps, and what the loops then hand to the steps."""

    class Recorder(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.weight, self.seen = torch.nn.Parameter(torch.zeros(1)), []
            self.budget = Steps(12)

        def training_step(self, batch, _):
            self.seen.append(digest([batch]))
            return self.weight.sum()

        def validation_step(self, batch, _):
            pass

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    def trainer(steps, accumulate=1):
        return pl.Trainer(
            max_steps=steps, max_epochs=-1, accelerator="cpu", logger=False, enable_progress_bar=False,
            enable_checkpointing=False, enable_model_summary=False, use_distributed_sampler=False,
            num_sanity_val_steps=0, val_check_interval=2, check_val_every_n_epoch=None, default_root_dir=tmp_path,
            accumulate_grad_batches=accumulate,
        )  # fmt: skip

    def data(workers, batch_size=4):
        examples = examples_of(small_data, max_length=64)
        return StreamDataModule(examples, examples, batch_size, 8, workers)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = Recorder()
        trainer(12).fit(whole, data(0))
        first = Recorder()
        begun = trainer(12)
        begun.callbacks.append(StopAt(5, tmp_path / "five.ckpt"))
        begun.fit(first, data(1))
        assert first.seen == whole.seen[:5]
        rest = Recorder()
        trainer(12).fit(rest, data(0), ckpt_path=tmp_path / "five.ckpt")
    assert rest.seen == whole.seen[5:]


class StopAt(pl.Callback):
    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


@pytest.mark.parametrize(
    ("kind", "segments", "label"),
    [
        (SegmentPairs, 2, "next_sentence_label"),
        (SentenceOrderPairs, 2, "sentence_order_label"),
        (FullSentences, 1, None),
        (DocumentSentences, 1, None),
        (SingleSentences, 1, None),
        (
            partial(
                PackedSequences, builder=partial(FullSentences, max_length=32, single_sentence_prob=0.2), tokens=64
            ),
            1,
            None,
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("masking", [TokenMasking(), WholeWordMasking(), SpanMasking(), NgramMasking(exact=True)])
def test_every_builder_with_every_masking(kind, segments, label, masking, small_data):
    builder = kind(small_data.train) if isinstance(kind, partial) else kind(small_data.train, 32)
    examples = replace(examples_of(small_data), phases=Phases.of(builder), masking=masking)
    batch = examples[range(30)]
    ids, numbers = batch["input_ids"].clone(), batch["attention_mask"]
    ids.view(-1)[batch["masked_positions"]] = batch["masked_labels"]
    special = examples.special
    assert set(batch["token_type_ids"].unique().tolist()) == set(range(segments))
    assert {key for key in batch if key.endswith("_label")} == ({label} if label else set())
    assert torch.equal(numbers == 0, ids == special.pad)
    assert batch["num_tokens"] == (numbers > 0).sum()
    for row, count in zip(ids, numbers.amax(1).tolist(), strict=True):
        assert (row == special.cls).sum() == count
        assert row[0] == special.cls
    words = examples.vocabulary.words.tolist()
    assert set(batch["masked_labels"].tolist()) <= set(words)
    assert set(batch["input_ids"].unique().tolist()) <= {*words, special.pad, special.cls, special.sep, special.mask}


def test_phases_are_shares_of_training(small_data):
    builder = partial(SegmentPairs, max_length=16)
    phases = Phases(small_data.train, builder, [{"share": 0.75, "max_length": 16}, {"share": 0.25, "max_length": 64}])
    assert (phases.max_length, phases.last.max_length) == (64, 64)
    examples = replace(examples_of(small_data), phases=phases, plan=BatchPlan(0, 0.0, 1000))
    lengths = [examples[range(n, n + 1)]["num_tokens"] for n in range(1000)]
    assert max(lengths[:750]) <= 16
    assert max(lengths[750:]) > 32
    across = examples[range(748, 752)]
    assert across["input_ids"].shape[0] == 4
    assert across["attention_mask"].sum(1).tolist() == lengths[748:752]
    # The second phase has an order of its own, from its first example on
    (phase_slice,) = phases.slices(range(750, 760), examples.plan)
    assert (phase_slice.number, phase_slice.positions.tolist()) == (1, list(range(10)))
    assert [s.number for s in phases.slices(range(0, 10), END_OF_TRAINING)] == [1]


@pytest.mark.parametrize("shares", [[], [0.5, 0.4], [1.2, -0.2]])
def test_shares_of_phases_that_cannot_be(shares, small_data):
    with pytest.raises(UserError, match="must be given for each phase, above 0, and add up to 1"):
        Phases(small_data.train, partial(SegmentPairs, max_length=16), [{"share": share} for share in shares])


def test_the_rate_changes_over_training(small_data):
    masking = TokenMasking(RateSchedule([0, 1], [0.8, 0.1]))
    examples = replace(examples_of(small_data), masking=masking, plan=BatchPlan(0, 0.0, 20_000))
    first, last = (examples[range(n, n + 500)] for n in (0, 19_500))
    rates = [len(b["masked_labels"]) / (b["num_tokens"] - 3 * 500) for b in (first, last)]
    assert rates == [pytest.approx(0.79, abs=0.02), pytest.approx(0.11, abs=0.02)]


def test_examples_reach_workers_as_names_of_files_not_as_their_content(examples):
    """Where workers are not forked, the dataset is pickled for each."""
    alone = replace(examples, vocabulary=None)
    pickled = pickle.dumps(alone)
    assert len(pickled) < 2000
    again = replace(pickle.loads(pickled), vocabulary=examples.vocabulary)
    assert digest([again[range(8)]]) == digest([examples[range(8)]])
