import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from bert_lightning.data.datamodule import StreamDataModule
from bert_lightning.data.examples import PretrainingExamples
from bert_lightning.data.masking import TokenMasking, Vocabulary
from bert_lightning.data.phases import Phases
from bert_lightning.data.pairs import SegmentPairs
from bert_lightning.data.sampler import OnceThrough, StreamBatches, stream_indices
from bert_lightning.text.tokenizers import SpecialIds


def examples_of(data, seed=0, max_length=128):
    return PretrainingExamples(
        Phases.of(SegmentPairs(data.train, max_length)),
        TokenMasking(),
        SpecialIds.of(data.tokenizer),
        Vocabulary.of(data.tokenizer),
        seed,
    )


def digest(batches):
    result = hashlib.sha256()
    for batch in batches:
        for key in sorted(batch):
            value = batch[key]
            result.update(value.numpy().tobytes() if isinstance(value, torch.Tensor) else str(value).encode())
    return result.hexdigest()


def loader(examples, steps, workers, batch_size=16):
    data = StreamDataModule(examples, examples, batch_size, num_workers=workers)
    data.trainer = type("Trainer", (), dict(max_steps=steps, accumulate_grad_batches=1, global_rank=0, world_size=1))()
    return data.train_dataloader()


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


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")  # the machine may have two cores
def test_thousand_batches_are_the_same_for_every_number_of_workers_and_in_another_process(examples, reviews_data):
    expected = digest(loader(examples, 1000, 0))
    assert digest(loader(examples, 1000, 1)) == expected
    assert digest(loader(examples, 1000, 3)) == expected
    program = (
        "import sys; from pathlib import Path; from tests.data.test_examples import digest, examples_of, loader\n"
        "from bert_lightning.data.preparation import open_prepared\n"
        f"print(digest(loader(examples_of(open_prepared(Path({str(reviews_data.folder)!r}))), 1000, 0)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == expected


def test_ranks_share_the_global_batches():
    alone = list(StreamBatches(8, 3))
    ranks = [list(StreamBatches(2, 3, rank, 4)) for rank in range(4)]
    assert [[p for rank in ranks for p in rank[b]] for b in range(3)] == [list(batch) for batch in alone]


def test_evaluation_sees_every_example_once():
    assert [p for batch in OnceThrough(10, 4) for p in batch] == list(range(10))
    assert len(list(OnceThrough(10, 4))) == len(OnceThrough(10, 4)) == 3


def test_loading_does_not_move_the_models_randomness(small_data):
    examples = examples_of(small_data, max_length=64)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for workers in (0, 1):
        list(loader(examples, 3, workers))
    assert torch.equal(torch.get_rng_state(), before)
