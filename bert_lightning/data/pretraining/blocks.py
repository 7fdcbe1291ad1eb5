"""Blocks of consecutive sentences as one segment: full, document and single sentences. Liu et al. 2019, section 4.2.

Block i is example i of every epoch. Only the masks change. A sentence longer than a block is cut into even parts. Each
part is a separate block, so no text is lost.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert_lightning.data.arrays import Bits, Bools, Ints
from bert_lightning.data.pretraining.pairs import check_fraction, check_length
from bert_lightning.data.pretraining.token_spans import TokenSpans
from bert_lightning.data.randomness import RandomStream, random_bits, uniform_floats
from bert_lightning.data.store.index import cached_table, rows_writer, sentence_runs
from bert_lightning.data.store.token_store import TokenStore
from bert_lightning.ranges import Length, Share


class Blocks:
    """The base class of block builders. A block is a range of the store's tokens. It may cross documents.

    Args:
        store: token store of the sentences.
        max_length: maximal number of tokens in a sequence, including special tokens.
        single_sentence_prob: fraction of sentences that each become a separate, short example. In packed rows these use
            the tokens that are left, because longer blocks rarely fill a row.
    """

    segments = 1
    labels = ()
    kind: str

    def __init__(self, store: TokenStore, max_length: Length, single_sentence_prob: Share = 0.0) -> None:
        check_length(max_length)
        check_fraction("single_sentence_prob", single_sentence_prob)
        self.store, self.single_sentence_prob = store, single_sentence_prob
        self.max_length = self.row_length = max_length
        self.room = max_length - 2  # maximal number of tokens without the first [CLS] and the last [SEP]
        self.name = f"{self.kind}-{self.room}-{single_sentence_prob:g}"
        self._table = cached_table(store, self.name, 2, rows_writer(self._blocks()))

    def __len__(self) -> int:
        return len(self.token_ranges)

    @property
    def token_ranges(self) -> Ints:
        """Return the tokens [begin, end) of every block, [N, 2]."""
        return self._table.rows

    def __call__(self, indices: Ints, keys: Bits) -> TokenSpans:
        """Return the blocks at `indices` [B]. They have no randomness, so `keys` is not used."""
        row, start, length = self.document_spans(indices)
        return TokenSpans(row, example=np.ones_like(row), segment=np.zeros_like(row), start=start, length=length)

    def document_spans(self, indices: Ints) -> tuple[Ints, Ints, Ints]:
        """Cut the blocks at `indices` [B] into P spans of one document each.

        Returns:
            which: [P] index of the span's block in `indices`.
            start: [P] index of the first token.
            length: [P] number of tokens.
        """
        begin, end = self.token_ranges[indices].T
        sentences, documents = self.store.sentences, self.store.documents
        first = np.searchsorted(documents, np.searchsorted(sentences, begin, side="right") - 1, side="right") - 1
        last = np.searchsorted(documents, np.searchsorted(sentences, end - 1, side="right") - 1, side="right") - 1
        count = last - first + 1
        which = np.repeat(np.arange(len(indices)), count)
        document = np.arange(len(which)) - np.repeat(np.cumsum(count) - count - first, count)
        start = np.maximum(begin[which], sentences[documents[document]])
        return which, start, np.minimum(end[which], sentences[documents[document + 1]]) - start

    def lengths(self, indices: Ints) -> Ints:
        """Return the number of tokens in each block at `indices` [B], including special tokens, [B]."""
        which, _, length = self.document_spans(indices)
        return np.bincount(which, length + 1, len(indices)).astype(np.int64) + 1

    def _blocks(self) -> Iterator[Ints]:
        """Yield the tokens [begin, end) of all blocks, in arrays of n blocks, [n, 2]."""
        for ranges in sentence_runs(self.store, self._ends, look_ahead=self.room + 1):
            begin, end = self.store.sentences[ranges[:, 0]], self.store.sentences[ranges[:, 1]]
            parts = -(-(end - begin) // self.room)  # above 1 for a sentence longer than a block
            part = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
            begin, length, parts = (np.repeat(a, parts) for a in (begin, end - begin, parts))
            yield np.stack([begin + part * length // parts, begin + (part + 1) * length // parts], axis=1)

    def _ends(self, numbers: Ints, starts: Ints, document: Ints) -> Ints:
        """Return the end of the block that begins at each sentence. It is the argument `ends` of `sentence_runs`."""
        longest = self._longest(numbers, starts, document)
        if not self.single_sentence_prob:
            return longest
        alone = self._stands_alone(np.arange(numbers[0], numbers[0] + len(starts)))
        ends = np.append(np.flatnonzero(alone), len(starts))
        next_alone = numbers[0] + ends[np.searchsorted(ends, np.arange(len(numbers)))]
        return np.where(alone[: len(numbers)], numbers + 1, np.minimum(longest, next_alone))

    def _stands_alone(self, sentences: Ints) -> Bools:
        """Return whether each sentence is a separate block. The random choice is the same in every epoch."""
        return uniform_floats(random_bits(0, RandomStream.SINGLE_SENTENCE, sentences)) < self.single_sentence_prob

    def _longest(self, numbers: Ints, starts: Ints, document: Ints) -> Ints:
        """Return the end of the longest block that begins at each sentence."""
        raise NotImplementedError


class FullSentences(Blocks):
    """Blocks of as many sentences as fit, across documents, with [SEP] between two documents. RoBERTa uses them."""

    kind = "full"

    def _longest(self, numbers: Ints, starts: Ints, document: Ints) -> Ints:
        # The [SEP] after each document takes room. The [SEP] at the end of the block is not counted in the room.
        following = np.arange(numbers[0], numbers[0] + len(starts))
        ends = starts + np.searchsorted(self.store.documents, following, side="left")
        full = np.searchsorted(ends, starts[: len(numbers)] + document + 1 + self.room, side="right") - 1
        return _one_at_least(numbers, full)


class DocumentSentences(Blocks):
    """Blocks of as many sentences of one document as fit."""

    kind = "document"

    def _longest(self, numbers: Ints, starts: Ints, document: Ints) -> Ints:
        full = np.searchsorted(starts, starts[: len(numbers)] + self.room, side="right") - 1
        return np.minimum(_one_at_least(numbers, full), self.store.documents[document + 1])


class SingleSentences(Blocks):
    """Blocks of one sentence each."""

    kind = "single"

    def _longest(self, numbers: Ints, starts: Ints, document: Ints) -> Ints:
        return numbers + 1


def _one_at_least(numbers: Ints, ends: Ints) -> Ints:
    """Convert ends relative to the first sentence into sentence numbers. A block has at least one sentence."""
    after: Ints = np.maximum(numbers[0] + ends, numbers + 1)
    return after
