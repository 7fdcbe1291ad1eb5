"""Blocks of running text, one segment each: full, document and single sentences. Liu et al. 2019, section 4.2.

Block i is example i of every epoch; only the masks change. A sentence longer than a block is cut into even parts, and
each part is a block: no text is lost.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert_lightning.data.index import runs, table, write_blocks
from bert_lightning.data.pairs import check_length, check_share
from bert_lightning.data.pieces import Bools, Ints, Pieces
from bert_lightning.data.randomness import Bits, Stream, draw, uniform
from bert_lightning.data.store import TokenStore
from bert_lightning.ranges import Length, Share


class Blocks:
    """What the three share: spans of tokens, cut where documents meet.

    Args:
        store: where the sentences are.
        max_length: tokens of the longest sequence, special tokens included.
        lone_prob: share of sentences that stand alone, each a short example of its own. They fill what remains of
            packed rows: no row of whole sentences is ever quite full.
    """

    segments = 1
    labels = ()
    kind: str

    def __init__(self, store: TokenStore, max_length: Length, lone_prob: Share = 0.0) -> None:
        check_length(max_length)
        check_share("lone_prob", lone_prob)
        self.store, self.lone_prob = store, lone_prob
        self.max_length = self.row_length = max_length
        self.room = max_length - 2  # tokens of text, where [CLS] opens and [SEP] closes
        self.name = f"{self.kind}-{self.room}-{lone_prob:g}"
        self._table = table(store, self.name, 2, write_blocks(self._blocks()))

    def __len__(self) -> int:
        return len(self.spans)

    @property
    def spans(self) -> Ints:
        """Tokens [begin, end) of every block, [N, 2]."""
        return self._table.rows

    def __call__(self, indices: Ints, keys: Bits) -> Pieces:
        """The blocks at `indices` [B]; nothing of them is random."""
        row, start, length = self.pieces(indices)
        return Pieces(row, example=np.ones_like(row), segment=np.zeros_like(row), start=start, length=length)

    def pieces(self, indices: Ints) -> tuple[Ints, Ints, Ints]:
        """The parts of the blocks that are each of one document: which of `indices`, first token, length, all [P]."""
        begin, end = self.spans[indices].T
        sentences, documents = self.store.sentences, self.store.documents
        first = np.searchsorted(documents, np.searchsorted(sentences, begin, side="right") - 1, side="right") - 1
        last = np.searchsorted(documents, np.searchsorted(sentences, end - 1, side="right") - 1, side="right") - 1
        count = last - first + 1
        which = np.repeat(np.arange(len(indices)), count)
        document = np.arange(len(which)) - np.repeat(np.cumsum(count) - count - first, count)
        start = np.maximum(begin[which], sentences[documents[document]])
        return which, start, np.minimum(end[which], sentences[documents[document + 1]]) - start

    def lengths(self, indices: Ints) -> Ints:
        """Tokens of the blocks with their special tokens, [B]."""
        which, _, length = self.pieces(indices)
        return np.bincount(which, length + 1, len(indices)).astype(np.int64) + 1

    def _blocks(self) -> Iterator[Ints]:
        """Spans [begin, end) of tokens, [n, 2] at a time."""
        for ranges in runs(self.store, self._ends, look_ahead=self.room + 1):
            begin, end = self.store.sentences[ranges[:, 0]], self.store.sentences[ranges[:, 1]]
            parts = -(-(end - begin) // self.room)  # more than one for a sentence that is too long
            part = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
            begin, length, parts = (np.repeat(a, parts) for a in (begin, end - begin, parts))
            yield np.stack([begin + part * length // parts, begin + (part + 1) * length // parts], axis=1)

    def _ends(self, numbers: Ints, starts: Ints, document: Ints) -> Ints:
        """For `runs`: where the block ends that begins at each sentence."""
        longest = self._longest(numbers, starts, document)
        if not self.lone_prob:
            return longest
        lone = self._lone(np.arange(numbers[0], numbers[0] + len(starts)))
        places = np.append(np.flatnonzero(lone), len(starts))
        next_lone = numbers[0] + places[np.searchsorted(places, np.arange(len(numbers)))]
        return np.where(lone[: len(numbers)], numbers + 1, np.minimum(longest, next_lone))

    def _lone(self, sentences: Ints) -> Bools:
        return uniform(draw(0, Stream.LONE, sentences)) < self.lone_prob

    def _longest(self, numbers: Ints, starts: Ints, document: Ints) -> Ints:
        raise NotImplementedError


class FullSentences(Blocks):
    """Whole sentences until the block is full, across documents, with [SEP] between two. RoBERTa's choice."""

    kind = "full"

    def _longest(self, numbers: Ints, starts: Ints, document: Ints) -> Ints:
        # [SEP] after each document takes of the room; that after the block's last does so anyway.
        following = np.arange(numbers[0], numbers[0] + len(starts))
        ends = starts + np.searchsorted(self.store.documents, following, side="left")
        full = np.searchsorted(ends, starts[: len(numbers)] + document + 1 + self.room, side="right") - 1
        return _one_at_least(numbers, full)


class DocumentSentences(Blocks):
    """Whole sentences of one document until the block is full."""

    kind = "document"

    def _longest(self, numbers: Ints, starts: Ints, document: Ints) -> Ints:
        full = np.searchsorted(starts, starts[: len(numbers)] + self.room, side="right") - 1
        return np.minimum(_one_at_least(numbers, full), self.store.documents[document + 1])


class SingleSentences(Blocks):
    """Every sentence by itself."""

    kind = "single"

    def _longest(self, numbers: Ints, starts: Ints, document: Ints) -> Ints:
        return numbers + 1


def _one_at_least(numbers: Ints, ends: Ints) -> Ints:
    """Ends counted from the first of the sentences -> the sentences' own numbers, each after the one that begins."""
    after: Ints = np.maximum(numbers[0] + ends, numbers + 1)
    return after
