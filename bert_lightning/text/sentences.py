"""Clean raw text, split it into sentences, and hash documents."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import sentencex

_BREAK = re.compile(r"(?:<br\s*/?>\s*)+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff]")


def clean(text: str) -> str:
    """Return a text without control characters, and with one line break for each run of HTML breaks."""
    if "<" in text:
        text = _BREAK.sub("\n", text)
    return _CONTROL.sub("", text)


def split_sentences(text: str, language: str) -> list[str]:
    """Return the sentences of clean text, in order. None is empty, and none crosses the end of a line."""
    sentences = (s.strip() for line in text.splitlines() for s in sentencex.segment(language, line))
    return [sentence for sentence in sentences if sentence]


def split_position(parts: Sequence[str]) -> float:
    """Return the position of a document in [0, 1), by a hash of its characters.

    A document belongs to validation if its position is below the validation fraction. White space is ignored, so raw
    text and its sentences have the same position. Duplicates have the same position, too. It does not depend on the
    order of the corpus. So pretraining and fine-tuning on the same texts use the same documents for validation.
    """
    return hash_fraction(parts)


def hash_fraction(parts: Sequence[str], salt: int = 0) -> float:
    """Return a number in [0, 1), by a hash of a document's characters and the salt. White space is ignored."""
    return int.from_bytes(document_hash(parts, 8, salt), "big") / 2**64


def document_hash(parts: Sequence[str], size: int, salt: int = 0) -> bytes:
    """Return a hash of `size` bytes of a document's characters and the salt. White space is ignored."""
    characters = "".join("".join(parts).split())
    return hashlib.blake2b(characters.encode(), digest_size=size, salt=salt.to_bytes(8, "big")).digest()
