"""Sentences -> ids, with where words begin: what an encoder returns, and the library's own way to get it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
        ids: list[int] = []
        starts: list[npt.NDArray[np.bool_]] = []
        lengths = np.zeros(len(sentences), dtype=np.int64)
        for number, encoding in enumerate(self.tokenizer.encode_batch(sentences, add_special_tokens=False)):
            ids += encoding.ids
            starts.append(np.diff(np.asarray(encoding.word_ids, dtype=np.int64), prepend=-1) != 0)
            lengths[number] = len(encoding.ids)
        return Encoded(np.asarray(ids, self.dtype), np.concatenate([*starts, np.zeros(0, np.bool_)]), lengths)
