"""Sentences -> ids, with where words begin: what an encoder returns, and the library's own way to get it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from bert_lightning.text.special_tokens import special_names
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


@lru_cache(maxsize=8)
def text_reader(tokenizer: Tokenizer, of_words: bool = False) -> Tokenizer:
    """Return the tokenizer that reads what an author wrote: a typed `[MASK]` is text, another added token is a token.

    With `of_words`, every word has a space in front of it, as in a sentence. Transformers asks for that of RoBERTa
    (`add_prefix_space=True`), whose tokens of `rejects` with and without a space are others; here it holds for all
    byte-level and Metaspace tokenizers, ModernBERT's too, with which transformers runs the words together.

    The given tokenizer itself is returned where it reads so already.
    """
    if of_words:
        return text_reader(with_spaced_words(tokenizer))
    roles = set(special_names(tokenizer).values())
    if not any(token.special and token.content not in roles for token in tokenizer.get_added_tokens_decoder().values()):
        return tokenizer
    settings = json.loads(tokenizer.to_str())
    for token in settings["added_tokens"]:  # the library takes all special tokens for text, or none
        token["special"] &= token["content"] in roles
    return Tokenizer.from_str(json.dumps(settings))


def with_spaced_words(tokenizer: Tokenizer) -> Tokenizer:
    """Return a tokenizer that puts a space before each of given words; itself where it does, or needs none."""
    settings = json.loads(tokenizer.to_str())
    return Tokenizer.from_str(json.dumps(settings)) if _put_spaces_before_words(settings) else tokenizer


def steps_of(settings: dict[str, Any] | None, parts: str) -> list[dict[str, Any]]:
    """Return the steps of a normalizer, pre-tokenizer or post-processor, a sequence flattened."""
    if settings is None:
        return []
    return [step for part in settings[parts] for step in steps_of(part, parts)] if parts in settings else [settings]


def _put_spaces_before_words(settings: dict[str, Any]) -> bool:
    """Make a tokenizer whose pieces hold spaces put one before each word; return whether it did not."""
    steps = steps_of(settings["pre_tokenizer"], "pretokenizers")
    for number, step in enumerate(steps):
        if step.get("prepend_scheme") == "never":
            step["prepend_scheme"] = "first"
            return True
        if step["type"] == "ByteLevel" and not step["add_prefix_space"]:
            if number == 0:
                for space_aware in (step, *steps_of(settings["post_processor"], "processors")):
                    if "add_prefix_space" in space_aware:
                        space_aware["add_prefix_space"] = True
            else:  # behind a split it would put a space before each part of a word
                before = steps_of(settings["normalizer"], "normalizers")
                settings["normalizer"] = {
                    "type": "Sequence",
                    "normalizers": [*before, {"type": "Prepend", "prepend": " "}],
                }
            return True
    return False


class PlainEncoder:
    """The library's own way, for any tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.dtype = text_reader(tokenizer), id_type(tokenizer)

    def encodings(self, texts: Sequence[str]) -> list[Encoding]:
        """Return what the library makes of texts."""
        self.tokenizer.encode_special_tokens = True  # a "[MASK]" that an author typed is text
        return self.tokenizer.encode_batch(texts, add_special_tokens=False)

    def __call__(self, sentences: Sequence[str]) -> Encoded:
        encodings = self.encodings(sentences)
        lengths = np.fromiter(map(len, encodings), np.int64, len(encodings))
        ids = np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), self.dtype)
        words = np.fromiter(chain.from_iterable(encoding.word_ids for encoding in encodings), np.int64)
        starts = np.diff(words, prepend=-1) != 0
        starts[(np.cumsum(lengths) - lengths)[lengths > 0]] = True
        return Encoded(ids, starts, lengths)
