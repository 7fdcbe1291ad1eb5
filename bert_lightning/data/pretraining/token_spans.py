"""Spans of the token store, and code that builds the rows of a batch from them: `[CLS] span [SEP] span [SEP]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from bert_lightning.data.arrays import Bits, Bools, Ints
from bert_lightning.data.store.token_store import TokenStore
from bert_lightning.text.tokenizers.recipes import SpecialIds


@dataclass(frozen=True)
class TokenSpans:
    """The P spans of the store's tokens in a batch, in the order of the batch. [SEP] follows each span."""

    row: Ints  # [P] number of the row, ascending from 0; every row has at least one span
    example: Ints  # [P] number of the example within its row, from 1; [CLS] stands before an example's first span
    segment: Ints  # [P] token type, 0 or 1
    start: Ints  # [P] index of the first token in the store
    length: Ints  # [P] number of tokens
    labels: Mapping[str, Ints] = field(default_factory=dict)  # key of the batch -> labels [B]

    def example_of_tokens(self) -> Ints:
        """Return [T], the number of each text token's example in the batch, from 0."""
        return np.repeat(np.cumsum(self.starts_example) - 1, self.length)

    def row_lengths(self) -> Ints:
        """Return [B], the number of tokens in each row, including special tokens."""
        return np.bincount(self.row, self.length + 1 + self.starts_example).astype(np.int64)

    @property
    def starts_example(self) -> Bools:
        """Return [P], true at the first span of an example."""
        new = np.ones(len(self.row), dtype=bool)
        new[1:] = (self.row[1:] != self.row[:-1]) | (self.example[1:] != self.example[:-1])
        return new


class ExampleBuilder(Protocol):
    """The interface of example builders. A builder selects the tokens of each example."""

    store: TokenStore
    max_length: int  # maximal number of tokens in an example, including special tokens
    row_length: int  # maximal number of tokens in a row; a packed row has several examples
    segments: int  # number of token types in use
    labels: tuple[str, ...]  # keys of `TokenSpans.labels`

    def __len__(self) -> int:
        """Return the number of rows in an epoch."""

    def __call__(self, indices: Ints, keys: Bits) -> TokenSpans:
        """Return the spans of the rows at `indices` [B]. The random `keys` [B] determine all randomness."""


@dataclass(frozen=True)
class AssembledRows:
    """The assembled rows of a batch, as flat arrays. T is the number of tokens without special tokens and padding."""

    width: int  # S, the number of tokens in each row
    ids: Ints  # [B * S] token ids
    types: Ints  # [B * S] token types
    examples: Ints  # [B * S] 0 at padding, else the number of the example within the row
    num_tokens: int  # number of tokens without padding
    text: Ints  # [T] index of each text token in the flat arrays, ascending
    source: Ints  # [T] index of each text token in the store


def concatenate_spans(parts: Sequence[TokenSpans]) -> TokenSpans:
    """Concatenate the rows of several `TokenSpans`."""
    if len(parts) == 1:
        return parts[0]
    offsets = np.cumsum([0, *(part.row[-1] + 1 for part in parts)])
    columns = ("example", "segment", "start", "length")
    fields = {name: np.concatenate([getattr(part, name) for part in parts]) for name in columns}
    row = np.concatenate([part.row + offset for part, offset in zip(parts, offsets, strict=False)])
    labels = {key: np.concatenate([part.labels[key] for part in parts]) for key in parts[0].labels}
    return TokenSpans(row=row, labels=labels, **fields)


def assemble_rows(spans: TokenSpans, store: TokenStore, special: SpecialIds) -> AssembledRows:
    """Read the spans from the store, add the special tokens, and pad the rows to the longest of them."""
    is_first = spans.starts_example
    size = (
        spans.length + 1 + is_first
    )  # tokens of each span, with [SEP], and with [CLS] if it is the first of an example
    end = np.cumsum(size)
    first = np.searchsorted(spans.row, np.arange(spans.row[-1] + 1))  # first span of each row
    row_size = np.add.reduceat(size, first)  # [B]
    width = int(row_size.max())
    begin = spans.row * width + (end - size) - (end[first] - size[first])[spans.row]
    text_begin = begin + is_first

    before = np.cumsum(spans.length) - spans.length
    text = np.arange(int(spans.length.sum()))
    source = text + np.repeat(spans.start - before, spans.length)
    text += np.repeat(text_begin - before, spans.length)

    ids = np.full(len(first) * width, special.pad, dtype=np.int64)
    ids[text] = store.tokens[source]
    ids[begin[is_first]] = special.cls
    ids[text_begin + spans.length] = special.sep
    types, examples = _spread((spans.segment, spans.example), spans.row, size, row_size, width)
    return AssembledRows(
        width=width,
        ids=ids,
        types=types,
        examples=examples,
        num_tokens=int(end[-1]),
        text=text,
        source=source,
    )


def _spread(columns: Sequence[Ints], row: Ints, size: Ints, row_size: Ints, width: int) -> list[Ints]:
    """Repeat the value of each span for all its tokens, and set 0 at padding: each column [P] -> [B * S]."""
    place = np.arange(len(row)) + row  # index of each span, if the padding of each row counts as one more span
    sizes = np.repeat(width, len(row) + len(row_size))
    sizes[place] = size
    last = np.append(np.flatnonzero(np.diff(row)), len(row) - 1)  # last span of each row
    sizes[place[last] + 1] -= row_size
    spread = []
    for column in columns:
        values = np.zeros_like(sizes)
        values[place] = column
        spread.append(np.repeat(values, sizes))
    return spread
