"""Batch tokenizers: from sentences to token ids and word starts. The protocol, and a class for any tokenizer."""

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

from bert_lightning.text.tokenizers.recipes import vocabulary_size
from bert_lightning.text.tokenizers.special_tokens import special_names

IdType: TypeAlias = "type[np.unsignedinteger[Any]]"


@dataclass(frozen=True)
class TokenBatch:
    """The T tokens of S sentences, in the order of the sentences."""

    tokens: npt.NDArray[Any]  # [T] ids, uint16 or uint32
    word_starts: npt.NDArray[np.bool_]  # [T] whether the token begins a word
    lengths: npt.NDArray[np.int64]  # [S] number of tokens of each sentence


class BatchTokenizer(Protocol):
    """The interface of batch tokenizers: a call converts sentences to token ids."""

    dtype: IdType

    def __call__(self, sentences: Sequence[str]) -> TokenBatch: ...


def id_type(tokenizer: Tokenizer) -> IdType:
    """Return the smallest integer type for all ids of a tokenizer: uint16 or uint32."""
    return np.uint16 if vocabulary_size(tokenizer) <= 2**16 else np.uint32


@lru_cache(maxsize=8)
def text_reader(tokenizer: Tokenizer, of_words: bool = False) -> Tokenizer:
    """Return a tokenizer that reads special tokens in a text, such as `[MASK]`, as plain text.

    All other added tokens stay tokens.

    If `of_words` is true, every word gets a leading space, as inside a sentence. RoBERTa has different tokens for
    `rejects` with and without a leading space, so transformers requires `add_prefix_space=True` for it. Here all
    byte-level and Metaspace tokenizers add the space. ModernBERT's is one of them. In transformers it adds no space, so
    neighbouring words are joined.

    If the given tokenizer already works in this way, it is returned unchanged.
    """
    if of_words:
        return text_reader(with_spaced_words(tokenizer))
    roles = set(special_names(tokenizer).values())
    if not any(token.special and token.content not in roles for token in tokenizer.get_added_tokens_decoder().values()):
        return tokenizer
    settings = json.loads(tokenizer.to_str())
    for token in settings["added_tokens"]:  # the library can read all special tokens as plain text, or none
        token["special"] &= token["content"] in roles
    return Tokenizer.from_str(json.dumps(settings))


def with_spaced_words(tokenizer: Tokenizer) -> Tokenizer:
    """Return a tokenizer that puts a space before each word of a text that is already split into words.

    If the given tokenizer already does this, or its tokens contain no spaces, it is returned unchanged.
    """
    settings = json.loads(tokenizer.to_str())
    return Tokenizer.from_str(json.dumps(settings)) if _put_spaces_before_words(settings) else tokenizer


def steps_of(settings: dict[str, Any] | None, parts: str) -> list[dict[str, Any]]:
    """Return the steps of a normalizer, pre-tokenizer or post-processor as a flat list.

    `parts` is the key under which the library lists the steps of a sequence.
    """
    if settings is None:
        return []
    return [step for part in settings[parts] for step in steps_of(part, parts)] if parts in settings else [settings]


def _put_spaces_before_words(settings: dict[str, Any]) -> bool:
    """Change the settings of a tokenizer so that each word gets a leading space. Return whether they changed.

    If the tokens of a tokenizer contain no spaces, its settings do not change.
    """
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
            else:  # after a split, add_prefix_space would put a space before each part of a word
                before = steps_of(settings["normalizer"], "normalizers")
                settings["normalizer"] = {
                    "type": "Sequence",
                    "normalizers": [*before, {"type": "Prepend", "prepend": " "}],
                }
            return True
    return False


class PlainTokenizer:
    """A batch tokenizer for any tokenizer: it calls the `encode_batch` of the tokenizers library."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.dtype = text_reader(tokenizer), id_type(tokenizer)

    def encodings(self, texts: Sequence[str]) -> list[Encoding]:
        """Return the library's encodings of texts, without the special tokens around a text."""
        self.tokenizer.encode_special_tokens = True  # "[MASK]" in a text is plain text
        return self.tokenizer.encode_batch(texts, add_special_tokens=False)

    def __call__(self, sentences: Sequence[str]) -> TokenBatch:
        encodings = self.encodings(sentences)
        lengths = np.fromiter(map(len, encodings), np.int64, len(encodings))
        ids = np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), self.dtype)
        words = np.fromiter(chain.from_iterable(encoding.word_ids for encoding in encodings), np.int64)
        starts = np.diff(words, prepend=-1) != 0
        starts[(np.cumsum(lengths) - lengths)[lengths > 0]] = True
        return TokenBatch(ids, starts, lengths)
