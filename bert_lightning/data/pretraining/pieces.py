"""Pieces of the token store that make the rows of a batch, and their assembly: `[CLS] piece [SEP] piece [SEP]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bert_lightning.data.randomness import Bits
from bert_lightning.data.store.token_store import TokenStore
from bert_lightning.text.tokenizers.recipes import SpecialIds

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Pieces:
    """P spans of the store's tokens, in the order in which they stand in the batch. [SEP] follows each of them."""

    row: Ints  # [P] number of the row, ascending from 0; every row has at least one piece
    example: Ints  # [P] number of the example within its row, from 1; [CLS] stands before an example's first piece
    segment: Ints  # [P] token type, 0 or 1
    start: Ints  # [P] index of the first token in the store
    length: Ints  # [P] number of tokens
    labels: Mapping[str, Ints] = field(default_factory=dict)  # key of the batch -> labels [B]

    def example_of_tokens(self) -> Ints:
        """Return [T], the example of the batch that each token of text belongs to, counted from 0."""
        return np.repeat(np.cumsum(self.opens) - 1, self.length)

    def row_lengths(self) -> Ints:
        """Return [B], the number of tokens in each row, including special tokens."""
        return np.bincount(self.row, self.length + 1 + self.opens).astype(np.int64)

    @property
    def opens(self) -> Bools:
        """Return [P], true at the first piece of an example."""
        new = np.ones(len(self.row), dtype=bool)
        new[1:] = (self.row[1:] != self.row[:-1]) | (self.example[1:] != self.example[:-1])
        return new


class ExampleBuilder(Protocol):
    """Chooses the tokens that make an example. The docstrings of implementations name their sources."""

    store: TokenStore
    max_length: int  # maximal number of tokens in an example, including special tokens
    row_length: int  # maximal number of tokens in a row; a packed row has several examples
    segments: int  # number of token types in use
    labels: tuple[str, ...]  # keys of `Pieces.labels`

    def __len__(self) -> int:
        """Return the number of rows in an epoch."""

    def __call__(self, indices: Ints, keys: Bits) -> Pieces:
        """Return the rows at `indices` [B]. `keys` [B] determine all their randomness."""


@dataclass(frozen=True)
class Rows:
    """The assembled rows of a batch, as flat arrays. T is the number of tokens without special tokens and padding."""

    width: int  # S, the number of tokens in each row
    ids: Ints  # [B * S] token ids
    types: Ints  # [B * S] token types
    examples: Ints  # [B * S] 0 at padding, else the number of the example within the row
    num_tokens: int  # number of tokens without padding
    text: Ints  # [T] index of each text token in the flat arrays, ascending
    source: Ints  # [T] index of each text token in the store


def join(parts: Sequence[Pieces]) -> Pieces:
    """Concatenate the rows of several `Pieces`."""
    if len(parts) == 1:
        return parts[0]
    offsets = np.cumsum([0, *(part.row[-1] + 1 for part in parts)])
    fields = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
    row = np.concatenate([part.row + offset for part, offset in zip(parts, offsets, strict=False)])
    labels = {key: np.concatenate([part.labels[key] for part in parts]) for key in parts[0].labels}
    return Pieces(row=row, labels=labels, **fields)


_COLUMNS = ("example", "segment", "start", "length")


def assemble(pieces: Pieces, store: TokenStore, special: SpecialIds) -> Rows:
    """Read the pieces from the store, add the special tokens, and pad the rows to the longest of them."""
    opens = pieces.opens
    size = pieces.length + 1 + opens  # tokens of each piece, with [SEP], and with [CLS] if it opens an example
    end = np.cumsum(size)
    first = np.searchsorted(pieces.row, np.arange(pieces.row[-1] + 1))  # first piece of each row
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
    """Repeat the value of each piece for all its tokens, and set 0 at padding: each column [P] -> [B * S]."""
    place = np.arange(len(row)) + row  # index of each piece, if the padding of each row counts as one more piece
    sizes = np.repeat(width, len(row) + len(row_size))
    sizes[place] = size
    last = np.append(np.flatnonzero(np.diff(row)), len(row) - 1)  # last piece of each row
    sizes[place[last] + 1] -= row_size
    spread = []
    for column in columns:
        values = np.zeros_like(sizes)
        values[place] = column
        spread.append(np.repeat(values, sizes))
    return spread
