"""Passages of validation text, kept as text: the same for every tokenizer, so that losses of tokenizers compare."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Sequence

PASSAGE_WORDS = 32  # words, divided by white space, in a passage: few enough for any maximal length in use
MOST_PASSAGES = 500
_LONGEST = 400  # characters; text without spaces between words gives no passages


class PassageSample:
    """A sample of passages that depends on nothing but the text: those with the smallest hashes.

    So it does not depend on the order of the documents, or on how the corpus is divided into parts.
    """

    def __init__(self, passages: Iterable[str] = ()) -> None:
        self._heap: list[tuple[int, str]] = []  # negative hash, passage: the first entry has the largest hash
        self._hashes: set[int] = set()
        for passage in passages:
            self._add(passage)

    def take(self, document: Sequence[str]) -> None:
        """Add the passages of a document, given as sentences. What is left at its end is too short for one."""
        words = " ".join(document).split()
        for start in range(0, len(words) - PASSAGE_WORDS + 1, PASSAGE_WORDS):
            self._add(" ".join(words[start : start + PASSAGE_WORDS]))

    def passages(self) -> list[str]:
        """Return the passages, the one with the smallest hash first."""
        return [passage for _, passage in sorted(self._heap, reverse=True)]

    def _add(self, passage: str) -> None:
        number = int(passage_id(passage), 16)
        if len(passage) > _LONGEST or number in self._hashes:
            return
        self._hashes.add(number)
        heapq.heappush(self._heap, (-number, passage))
        if len(self._heap) > MOST_PASSAGES:
            self._hashes.remove(-heapq.heappop(self._heap)[0])


def num_bytes(text: str, start: int, end: int) -> int:
    """Return the bytes in UTF-8 of the characters [start, end) of a text."""
    return len(text[start:end].encode(errors="surrogatepass"))


def passage_id(passage: str) -> str:
    """Return 16 hexadecimal digits that identify a passage."""
    return hashlib.blake2b(passage.encode(errors="surrogatepass"), digest_size=8).hexdigest()
