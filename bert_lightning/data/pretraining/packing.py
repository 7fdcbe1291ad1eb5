"""Packing: put several examples into a row with a fixed number of tokens, so that little of the row is padding.

The algorithm is best fit decreasing on the histogram of lengths. Its time depends on the number of distinct lengths:
a few hundred for a million examples. Krell et al. 2021, "Efficient sequence packing without cross-contamination",
section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from bert_lightning.data.arrays import Bits, Ints
from bert_lightning.data.pretraining.blocks import Blocks
from bert_lightning.data.pretraining.token_spans import TokenSpans
from bert_lightning.data.randomness import RandomStream, random_bits, random_permutation
from bert_lightning.data.store.index import cached_table
from bert_lightning.data.store.token_store import TokenStore
from bert_lightning.errors import UserError
from bert_lightning.ranges import Length

_AT_ONCE = 1 << 18  # blocks that are processed together


@dataclass(frozen=True)
class RowPattern:
    """A pattern: the lengths of the examples in a row, and the number of rows with these lengths."""

    lengths: tuple[int, ...]  # longest first
    rows: int


def pack_best_fit(histogram: Ints, capacity: int) -> list[RowPattern]:
    """Pack `histogram[l]` examples of each length l into rows of `capacity` tokens, longest first.

    Each example goes into the row with the fewest free tokens that has room for it. Rows with equally many free tokens
    are filled together. So the time depends on the number of lengths, not on the number of examples.
    """
    open_rows: list[list[RowPattern]] = [[] for _ in range(capacity + 1)]  # patterns by number of free tokens
    for length in range(len(histogram) - 1, 0, -1):
        count = int(histogram[length])
        room = length
        while count and room < capacity:
            while count and open_rows[room]:
                count -= _fill(open_rows, room, length, count)
            room += 1
        if count:
            open_rows[capacity].append(RowPattern((), count))
            while count:
                count -= _fill(open_rows, capacity, length, count)
            open_rows[capacity].clear()
    return [pattern for rows in open_rows for pattern in rows]


def _fill(open_rows: list[list[RowPattern]], room: int, length: int, count: int) -> int:
    """Put up to `count` examples of `length` into the last pattern with `room` free tokens. Return their number."""
    pattern = open_rows[room].pop()
    each = min(room // length, count)
    rows = min(pattern.rows, count // each)
    if rows < pattern.rows:
        open_rows[room].append(RowPattern(pattern.lengths, pattern.rows - rows))
    open_rows[room - each * length].append(RowPattern(pattern.lengths + (length,) * each, rows))
    return rows * each


class PackedSequences:
    """Build packed sequences: rows of up to `tokens` tokens with several examples. No token attends to another example.

    A row has the same examples in every epoch. Examples of the same length are shuffled, so that neighbours in the text
    are not neighbours in a row.

    Args:
        store: token store of the sentences.
        builder: function that makes the examples from the store. They must be blocks.
        tokens: number of tokens in a row, including padding.

    Raises:
        UserError: if the examples are not blocks, or `tokens` is less than the maximal length of an example.
    """

    segments = 1
    labels = ()

    def __init__(self, store: TokenStore, builder: Callable[[TokenStore], Blocks], tokens: Length) -> None:
        blocks = builder(store)
        if not isinstance(blocks, Blocks):
            raise UserError(
                f"examples.builder={type(blocks).__name__} cannot be packed, because packed rows have no labels: "
                "use examples@examples.builder=full_sentences, document_sentences or single_sentences"
            )
        if not isinstance(tokens, int) or tokens < blocks.max_length:
            raise UserError(
                f"examples.tokens={tokens} must be examples.builder.max_length={blocks.max_length} or more tokens"
            )
        self.store, self.blocks, self.tokens = store, blocks, tokens
        self.max_length, self.row_length = blocks.max_length, tokens
        self._by_length = cached_table(store, f"{blocks.name}-by-length", 1, self._write_by_length)
        histogram = self._histogram()
        self.patterns = pack_best_fit(histogram, tokens)
        self._offsets = np.cumsum(histogram) - histogram  # index of each length's first block in the table by length
        self._histogram_of_lengths = histogram
        self._ends = np.cumsum([pattern.rows for pattern in self.patterns])
        self._number_slots()

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __call__(self, indices: Ints, keys: Bits) -> TokenSpans:
        """Return the rows at `indices` [B]. They have no randomness, so `keys` is not used."""
        row, block = self.members(indices)
        which, start, length = self.blocks.document_spans(block)
        number = np.arange(len(row)) - np.searchsorted(row, row) + 1
        return TokenSpans(row[which], number[which], np.zeros_like(which), start, length)

    def members(self, indices: Ints) -> tuple[Ints, Ints]:
        """Return the n blocks in the rows at `indices` [B]: the index in `indices` of each, and its number, 2 x [n]."""
        pattern = np.searchsorted(self._ends, indices, side="right")
        within = indices - (self._ends[pattern] - self._rows[pattern])
        count = self._slots[pattern]
        row = np.repeat(np.arange(len(indices)), count)
        slot = np.arange(len(row)) - np.repeat(np.cumsum(count) - count - self._first_slot[pattern], count)
        length = self._slot_length[slot]
        ordinal = self._slot_base[slot] + within[row] * self._slot_twins[slot]
        place = random_permutation(
            ordinal, self._histogram_of_lengths[length], random_bits(0, RandomStream.PACK, length)
        )
        return row, self._by_length.rows[self._offsets[length] + place, 0]

    def _number_slots(self) -> None:
        """Build tables of the patterns' slots. Row by row, the examples of a length fill the slots of this length."""
        dealt = np.zeros(len(self._histogram_of_lengths), dtype=np.int64)
        length: list[int] = []
        base: list[int] = []
        twins: list[int] = []
        for pattern in self.patterns:
            distinct, counts = np.unique(pattern.lengths, return_counts=True)
            for one, count in zip(distinct, counts, strict=True):
                length += [one] * count
                twins += [count] * count
                base += range(dealt[one], dealt[one] + count)
                dealt[one] += count * pattern.rows
        self._slot_length, self._slot_base, self._slot_twins = (np.array(a, np.int64) for a in (length, base, twins))
        self._rows = np.array([pattern.rows for pattern in self.patterns])
        self._slots = np.array([len(pattern.lengths) for pattern in self.patterns])
        self._first_slot = np.cumsum(self._slots) - self._slots

    def _lengths(self, start: int) -> Ints:
        return self.blocks.lengths(np.arange(start, min(start + _AT_ONCE, len(self.blocks))))

    def _histogram(self) -> Ints:
        histogram = np.zeros(self.max_length + 1, dtype=np.int64)
        for start in range(0, len(self.blocks), _AT_ONCE):
            histogram += np.bincount(self._lengths(start), minlength=len(histogram))
        return histogram

    def _write_by_length(self, file: BinaryIO) -> None:
        """Write the numbers of all blocks, sorted by length: a counting sort that keeps only one range in memory."""
        histogram = self._histogram()
        place = np.cumsum(histogram) - histogram
        file.truncate(8 * len(self.blocks))
        numbers = np.memmap(file, np.int64, mode="r+")
        for start in range(0, len(self.blocks), _AT_ONCE):
            lengths = self._lengths(start)
            order = np.argsort(lengths, kind="stable")
            counts = np.bincount(lengths, minlength=len(histogram))
            rank = np.arange(len(order)) - (np.cumsum(counts) - counts)[lengths[order]]
            numbers[place[lengths[order]] + rank] = start + order
            place += counts
        numbers.flush()
