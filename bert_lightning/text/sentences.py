"""Clean raw text, split it into sentences, and hash documents."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import sentencex

_BREAK = re.compile(r"(?:<br\s*/?>\s*)+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff]")


def clean(text: str) -> str:
    """Return a text without control characters, and with a new line for each run of HTML breaks."""
    if "<" in text:
        text = _BREAK.sub("\n", text)
    return _CONTROL.sub("", text)


def split_sentences(text: str, language: str) -> list[str]:
    """Return the sentences of clean text, in order, none empty. No sentence crosses the end of a line."""
    sentences = (s.strip() for line in text.splitlines() for s in sentencex.segment(language, line))
    return [sentence for sentence in sentences if sentence]


def split_position(parts: Sequence[str]) -> float:
    """Return the position of a document in [0, 1), by a hash of its characters.

    A document belongs to validation if its position is below the share of validation. White space does not count. So
    the position is the same for a document as raw text and as sentences, in any order of the corpus, and for
    duplicates. Pretraining and fine-tuning on the same texts hold out the same documents.
    """
    return hash_fraction(parts)


def hash_fraction(parts: Sequence[str], salt: int = 0) -> float:
    """Return a number in [0, 1) that is the same for documents with the same characters and the same salt."""
    return int.from_bytes(document_hash(parts, 8, salt), "big") / 2**64


def document_hash(parts: Sequence[str], size: int, salt: int = 0) -> bytes:
    """Return `size` bytes that are the same for documents with the same salt and characters, white space aside."""
    characters = "".join("".join(parts).split())
    return hashlib.blake2b(characters.encode(), digest_size=size, salt=salt.to_bytes(8, "big")).digest()
