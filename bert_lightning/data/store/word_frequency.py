"""Count the words of the training text, and divide words into frequency bands, the same for every tokenizer.

A word is what stands between white space. Words that differ only in case or in the punctuation around them are counted
together. The bands have fixed limits in occurrences per million words, so they mean the same in a small corpus and in a
large one. The limits of 1,000 and 10 are 6 and 4 on the Zipf scale (van Heuven et al. 2014,
doi:10.1080/17470218.2013.850521). Most words above 6 are function words, and high-frequency words begin at 4.

Words are counted while their documents are tokenized, and in at most 32 parts of a corpus (about 1 GB of plain text),
spread evenly. So a word of the band `unseen` occurs in none of these. Duplicates that are dropped later are counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

COUNTED_PARTS = 32
_COUNTED_CHARACTERS = 2**26  # of a part, which bounds memory: a compressed file of any size is one part
BANDS = {"frequent": 1000, "middle": 10, "rare": 0}  # least occurrences per million words
UNSEEN = "unseen"
_AROUND = re.compile(r"^\W+|\W+$")


def word_key(word: str) -> str:
    """Return the form in which a word is counted: without case, and without the punctuation around it."""
    return _AROUND.sub("", word).casefold() or word


class WordCounter:
    """A counter of the words in the training documents of one part of a corpus."""

    def __init__(self) -> None:
        self._words: Counter[str] = Counter()
        self._left = _COUNTED_CHARACTERS

    def take(self, document: Sequence[str]) -> None:
        """Count the words of a document, given as sentences, unless enough text is counted."""
        if self._left > 0:
            text = " ".join(document)
            self._left -= len(text)
            self._words.update(text.split())

    def counts(self) -> dict[str, int]:
        """Return the number of occurrences of each word, by its key, in alphabetical order."""
        found: Counter[str] = Counter()
        for word, count in self._words.items():
            found[word_key(word)] += count
        return dict(sorted(found.items()))


@dataclass(frozen=True)
class WordCounts:
    """How often some words occur in the training text.

    Attributes:
        total: the number of all words in the counted text.
        counts: the number of occurrences by the key of a word; a word that it lacks does not occur.
    """

    total: int
    counts: Mapping[str, int]

    @classmethod
    def of_parts(cls, parts: Iterable[Mapping[str, int]], texts: Iterable[str]) -> WordCounts:
        """Add the counts of parts. Only the words of `texts` are kept."""
        kept = dict.fromkeys(sorted({word_key(word) for text in texts for word in text.split()}), 0)
        total = 0
        for counts in parts:
            total += sum(counts.values())
            for word in kept.keys() & counts.keys():
                kept[word] += counts[word]
        return cls(total, {word: count for word, count in kept.items() if count})

    def band(self, word: str) -> str:
        """Return the frequency band of a word: frequent, middle, rare or unseen."""
        count = self.counts.get(word_key(word), 0)
        return (
            next((name for name, least in BANDS.items() if count * 10**6 >= least * self.total), "")
            if count
            else UNSEEN
        )
