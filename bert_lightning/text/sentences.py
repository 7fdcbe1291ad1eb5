"""Raw text -> clean text -> sentences."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import sentencex

_BREAK = re.compile(r"(?:<br\s*/?>\s*)+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff]")


def clean(text: str) -> str:
    """Text without the HTML breaks and the control characters that web corpora carry. A break becomes a new line."""
    if "<" in text:
        text = _BREAK.sub("\n", text)
    return _CONTROL.sub("", text)


def split_sentences(text: str, language: str) -> list[str]:
    """Sentences of clean text, in order, none empty. A blank line or a line's end never joins two of them."""
    sentences = (s.strip() for line in text.splitlines() for s in sentencex.segment(language, line))
    return [sentence for sentence in sentences if sentence]


def split_position(parts: Sequence[str]) -> float:
    """Where a document stands in [0, 1), by a hash of its characters; validation is what stands below its share.

    White space does not count: the place is the same for a document as raw text and as sentences, for every order of
    the corpus, and for duplicates. Pretraining and fine-tuning that read the same texts leave out the same ones.
    """
    return hash_fraction(parts)


def hash_fraction(parts: Sequence[str], salt: int = 0) -> float:
    """A number in [0, 1) that is the same for documents with the same characters and the same salt."""
    return int.from_bytes(document_hash(parts, 8, salt), "big") / 2**64


def document_hash(parts: Sequence[str], size: int, salt: int = 0) -> bytes:
    """`size` bytes that are the same for documents with the same characters, white space aside, and the same salt."""
    characters = "".join("".join(parts).split())
    return hashlib.blake2b(characters.encode(), digest_size=size, salt=salt.to_bytes(8, "big")).digest()
