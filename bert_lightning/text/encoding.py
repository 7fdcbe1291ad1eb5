"""Sentences -> ids, with where words begin: what an encoder returns, and the library's own way to get it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from bert_lightning.text.tokenizers import vocabulary_size

IdType: TypeAlias = "type[np.unsignedinteger[Any]]"


@dataclass(frozen=True)
class Encoded:
    """Sentences one after another, T tokens of S sentences."""

    tokens: npt.NDArray[Any]  # [T] ids, uint16 or uint32
    word_starts: npt.NDArray[np.bool_]  # [T] the token begins a word
    lengths: npt.NDArray[np.int64]  # [S] tokens of each sentence


class Encoder(Protocol):
    """Sentences -> ids."""

    dtype: IdType

    def __call__(self, sentences: Sequence[str]) -> Encoded: ...


def id_type(tokenizer: Tokenizer) -> IdType:
    """The smallest type that holds every id."""
    return np.uint16 if vocabulary_size(tokenizer) <= 2**16 else np.uint32


class PlainEncoder:
    """The library's own way, for any tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.dtype = tokenizer, id_type(tokenizer)
        tokenizer.encode_special_tokens = True  # a "[MASK]" that an author typed is text

    def __call__(self, sentences: Sequence[str]) -> Encoded:
        encodings = self.tokenizer.encode_batch(sentences, add_special_tokens=False)
        lengths = np.fromiter(map(len, encodings), np.int64, len(encodings))
        ids = np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), self.dtype)
        words = np.fromiter(chain.from_iterable(encoding.word_ids for encoding in encodings), np.int64)
        starts = np.diff(words, prepend=-1) != 0
        starts[(np.cumsum(lengths) - lengths)[lengths > 0]] = True
        return Encoded(ids, starts, lengths)
