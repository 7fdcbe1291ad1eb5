"""Rows of a batch as pieces of the store, and the pieces as tensors: `[CLS] piece [SEP] piece [SEP]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bert_lightning.data.randomness import Bits
from bert_lightning.data.store import TokenStore
from bert_lightning.text.tokenizers import SpecialIds

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Pieces:
    """Runs of the store's tokens, P in all, in the order in which they stand. [SEP] follows each of them."""

    row: Ints  # [P] ascending from 0; every row has one
    example: Ints  # [P] number of the example within its row, from 1; [CLS] stands before an example's first piece
    segment: Ints  # [P] token type, 0 or 1
    start: Ints  # [P] first token
    length: Ints  # [P] tokens
    labels: Mapping[str, Ints] = field(default_factory=dict)  # key of the batch -> [B]

    def example_of_tokens(self) -> Ints:
        """[T] which example of the batch each token of text belongs to, counted from 0."""
        return np.repeat(np.cumsum(self.opens) - 1, self.length)

    def row_lengths(self) -> Ints:
        """[B] tokens of each row, with its special tokens."""
        return np.bincount(self.row, self.length + 1 + self.opens).astype(np.int64)

    @property
    def opens(self) -> Bools:
        """[P] true at the first piece of an example."""
        new = np.ones(len(self.row), dtype=bool)
        new[1:] = (self.row[1:] != self.row[:-1]) | (self.example[1:] != self.example[:-1])
        return new


class ExampleBuilder(Protocol):
    """Chooses which tokens make an example. The docstrings of its implementations are the place for sources."""

    store: TokenStore
    max_length: int  # tokens of the longest example, special tokens included
    row_length: int  # tokens of the longest row; one that packs has several examples in a row
    segments: int  # token types it uses
    labels: tuple[str, ...]  # keys of `Pieces.labels`

    def __len__(self) -> int:
        """Rows of an epoch."""

    def __call__(self, indices: Ints, keys: Bits) -> Pieces:
        """The rows at `indices` [B]; `keys` [B] hold all their randomness."""


@dataclass(frozen=True)
class Rows:
    """Assembled pieces. Arrays of a batch are flat, row after row of `width`; of tokens of text, there are T."""

    width: int
    ids: Ints  # [B * S]
    types: Ints  # [B * S]
    examples: Ints  # [B * S] 0 at padding, else the number of the example within the row
    num_tokens: int  # tokens that are no padding
    text: Ints  # [T] where text stands in the flat arrays, ascending
    source: Ints  # [T] where it stands in the store


def join(parts: Sequence[Pieces]) -> Pieces:
    """The rows of the first, then those of the next."""
    if len(parts) == 1:
        return parts[0]
    offsets = np.cumsum([0, *(part.row[-1] + 1 for part in parts)])
    fields = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
    row = np.concatenate([part.row + offset for part, offset in zip(parts, offsets, strict=False)])
    labels = {key: np.concatenate([part.labels[key] for part in parts]) for key in parts[0].labels}
    return Pieces(row=row, labels=labels, **fields)


_COLUMNS = ("example", "segment", "start", "length")


def assemble(pieces: Pieces, store: TokenStore, special: SpecialIds) -> Rows:
    """Read the pieces from the store, and set the special tokens; rows are padded to the longest."""
    opens = pieces.opens
    size = pieces.length + 1 + opens  # of a piece with its [SEP], and [CLS] where it opens an example
    end = np.cumsum(size)
    first = np.searchsorted(pieces.row, np.arange(pieces.row[-1] + 1))  # piece that begins each row
    row_size = np.add.reduceat(size, first)  # [B]
    width = int(row_size.max())
    begin = pieces.row * width + (end - size) - (end[first] - size[first])[pieces.row]
    text_begin = begin + opens

    before = np.cumsum(pieces.length) - pieces.length
    text = np.arange(int(pieces.length.sum()))
    source = text + np.repeat(pieces.start - before, pieces.length)
    text += np.repeat(text_begin - before, pieces.length)

    ids = np.full(len(first) * width, special.pad, dtype=np.int64)
    ids[text] = store.tokens[source]
    ids[begin[opens]] = special.cls
    ids[text_begin + pieces.length] = special.sep
    types, examples = _spread((pieces.segment, pieces.example), pieces.row, size, row_size, width)
    return Rows(
        width=width,
        ids=ids,
        types=types,
        examples=examples,
        num_tokens=int(end[-1]),
        text=text,
        source=source,
    )


def _spread(columns: Sequence[Ints], row: Ints, size: Ints, row_size: Ints, width: int) -> list[Ints]:
    """A value for every place of its piece, 0 for padding: each [P] -> [B * S]."""
    place = np.arange(len(row)) + row  # of the pieces, if padding were one more at the end of each row
    sizes = np.repeat(width, len(row) + len(row_size))
    sizes[place] = size
    last = np.append(np.flatnonzero(np.diff(row)), len(row) - 1)  # piece of each row
    sizes[place[last] + 1] -= row_size
    spread = []
    for column in columns:
        values = np.zeros_like(sizes)
        values[place] = column
        spread.append(np.repeat(values, sizes))
    return spread
