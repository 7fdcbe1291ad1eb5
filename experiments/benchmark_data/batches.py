"""Compare the speed of making batches with other tools: tokens per second on one core, same text, one process.

    python experiments/benchmark_data/batches.py ["books/*.txt"]

Ours goes from the memory-mapped store to tensors: pairs or blocks, special tokens, masks, padding. transformers'
collator only masks and converts. It gets rows of exactly the full length with their special-tokens masks, as
`run_mlm.py` makes them, and the time to make these rows is not counted. The pair builder of google-research/bert
starts from ids in memory. The tools alternate, and a ratio is the median over the rounds. Packing is measured too.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bert_lightning.data.pretraining.blocks import FullSentences
from bert_lightning.data.pretraining.examples import PretrainingExamples
from bert_lightning.data.pretraining.masking import ReplacementVocabulary, TokenMasking, WholeWordMasking
from bert_lightning.data.pretraining.packing import PackedSequences, pack_best_fit
from bert_lightning.data.pretraining.pairs import SegmentPairs
from bert_lightning.data.pretraining.phases import Phases
from bert_lightning.data.store.preparation import StorePlan, prepare
from bert_lightning.text.corpora import TextFiles
from bert_lightning.text.tokenizers.recipes import SpecialIds, TrainWordPiece
from experiments.benchmark_data.google_pairs import GooglePairs

TURNS, SECONDS = 9, 0.4
BOOKS = Path(__file__).parents[3] / "shared" / "data" / "pretrain_en" / "gutenberg" / "*.txt"


class Ours:
    """Yield batches of `PretrainingExamples`."""

    def __init__(self, data, builder, masking, batch_size):
        self.examples = PretrainingExamples(
            Phases.of(builder(data.train)),
            masking,
            SpecialIds.of(data.tokenizer),
            ReplacementVocabulary.of(data.tokenizer),
            0,
        )
        self.batch_size, self.number = batch_size, 0

    def __call__(self):
        start = self.number * self.batch_size
        self.number += 1
        return self.examples[range(start, start + self.batch_size)]["num_tokens"]


class Collator:
    """Yield batches of transformers' DataCollatorForLanguageModeling, from full rows of `max_length` tokens."""

    def __init__(self, data, encodings, whole_words, max_length, batch_size):
        from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

        special = dict(pad_token="[PAD]", mask_token="[MASK]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]")
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=data.tokenizer, **special)
        flat = {name: [x for e in encodings for x in getattr(e, field)] for name, field in _FEATURES.items()}
        if not whole_words:
            del flat["offset_mapping"]
        rows = len(flat["input_ids"]) // max_length
        self.rows = [{k: v[i * max_length : (i + 1) * max_length] for k, v in flat.items()} for i in range(rows)]
        self.max_length, self.batch_size, self.number = max_length, batch_size, 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.collator = DataCollatorForLanguageModeling(tokenizer, whole_word_mask=whole_words)

    def __call__(self):
        start = self.number * self.batch_size % (len(self.rows) - self.batch_size)
        self.number += 1
        batch = self.collator([dict(row) for row in self.rows[start : start + self.batch_size]])
        assert batch["input_ids"].shape == (self.batch_size, self.max_length)
        return self.batch_size * self.max_length


_FEATURES = {
    "input_ids": "ids",
    "token_type_ids": "type_ids",
    "attention_mask": "attention_mask",
    "special_tokens_mask": "special_tokens_mask",
    "offset_mapping": "offsets",
}


class Google:
    """Yield batches of the pair builder of google-research/bert, as tensors."""

    def __init__(self, data, max_length, batch_size):
        store = data.train
        sentences = np.split(store.tokens.astype(np.int64), store.sentences[1:-1])
        documents = [
            [sentence.tolist() for sentence in sentences[a:b]]
            for a, b in zip(store.documents, store.documents[1:], strict=False)
        ]
        special, words = SpecialIds.of(data.tokenizer), data.tokenizer.get_vocab_size()
        predictions = {128: 20, 512: 77}[max_length]  # README of google-research/bert: about 15 % of the length
        self.rows = iter(GooglePairs(documents, special, words, max_length, predictions))
        self.batch_size = batch_size

    def __call__(self):
        batch, lengths = zip(*(next(self.rows) for _ in range(self.batch_size)), strict=True)
        for key in batch[0]:
            torch.tensor([row[key] for row in batch])
        return sum(lengths)


def race(contestants):
    """Return tokens per second by name, one value for each round. The tools alternate."""
    speeds = {name: [] for name in contestants}
    for turn in range(TURNS + 1):
        for name, make in contestants.items():
            tokens, started = 0, time.process_time()
            while time.process_time() - started < SECONDS:
                tokens += make()
            if turn:  # the first warms up
                speeds[name].append(tokens / (time.process_time() - started))
    return speeds


def batches(data, encodings, max_length, batch_size):
    """Print the speeds, and the ratio of ours to each tool that it replaces."""
    ours = {
        "pairs": Ours(data, partial(SegmentPairs, max_length=max_length), TokenMasking(), batch_size),
        "pairs, whole words": Ours(data, partial(SegmentPairs, max_length=max_length), WholeWordMasking(), batch_size),
        "blocks": Ours(data, partial(FullSentences, max_length=max_length), TokenMasking(), batch_size),
        "blocks, whole words": Ours(
            data, partial(FullSentences, max_length=max_length), WholeWordMasking(), batch_size
        ),
    }
    theirs = {
        "DataCollatorForLanguageModeling": Collator(data, encodings, False, max_length, batch_size),
        "the same, whole words": Collator(data, encodings, True, max_length, batch_size),
        "google-research/bert pairs": Google(data, max_length, batch_size),
    }
    speeds = race(ours | theirs)
    print(f"\n{batch_size} sequences of {max_length} tokens, M tokens per CPU second (median of {TURNS} turns)")
    for name, values in speeds.items():
        print(f"  {name:34}{statistics.median(values) / 1e6:8.2f}")
    for mine, other, target in (
        ("pairs", "DataCollatorForLanguageModeling", 12),
        ("blocks", "DataCollatorForLanguageModeling", 12),
        ("pairs, whole words", "the same, whole words", 25),
        ("blocks, whole words", "the same, whole words", 25),
        ("pairs", "google-research/bert pairs", 8),
    ):
        ratio = statistics.median(a / b for a, b in zip(speeds[mine], speeds[other], strict=True))
        print(f"  {mine:20} / {other:34}{ratio:6.1f}   target {target}")


def packing():
    """Print the time and the density of packing a million sequences, and of packing sentences of the corpus."""
    print("\nPacking, best fit by the histogram of lengths: a million sequences")
    for name, mean, capacity in (("short texts into 512", 3.7, 512), ("articles into 512", 5.3, 512)):
        lengths = np.clip(np.random.default_rng(0).lognormal(mean, 0.9, 10**6).astype(int), 4, capacity)
        started = time.perf_counter()
        patterns = pack_best_fit(np.bincount(lengths), capacity)
        seconds = time.perf_counter() - started
        density = lengths.sum() / (capacity * sum(pattern.rows for pattern in patterns))
        print(f"  {name:34}{seconds:8.3f} s   density {density:.4f}")


def main():
    torch.set_num_threads(1)
    texts = sys.argv[1] if len(sys.argv) > 1 else str(BOOKS)
    with tempfile.TemporaryDirectory() as folder:
        corpus = TextFiles(texts)
        data = prepare(StorePlan(corpus, TrainWordPiece(30_522), 0.22, Path(folder) / "store"), say=lambda _: None)
        counts = data.train.counts()
        size = sum(os.path.getsize(file) for file in corpus.files()) / 1e6
        print(f"{len(corpus.files())} files, {size:.1f} MB; {counts['tokens']:,} tokens of training")
        data.tokenizer.no_truncation()
        encodings = data.tokenizer.encode_batch([" ".join(document[:2000]) for document in corpus])
        for max_length, batch_size in ((128, 256), (128, 64), (512, 64)):
            batches(data, encodings, max_length, batch_size)
        packing()
        for single_sentence_prob in (0.0, 0.04):
            packed = PackedSequences(
                data.train, partial(FullSentences, max_length=512, single_sentence_prob=single_sentence_prob), 512
            )
            what = f"full sentences into 512, {single_sentence_prob:.0%} alone"
            tokens = sum(sum(pattern.lengths) * pattern.rows for pattern in packed.patterns)
            print(f"  {what:34}{len(packed):8,} rows   density {tokens / (512 * len(packed)):.4f}")


if __name__ == "__main__":
    main()
