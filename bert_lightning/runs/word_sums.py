"""Sum up the bits of masked words, over all of them and in each frequency band. The sums of parts add up."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bert_lightning.data.store.passages import num_bytes
from bert_lightning.data.store.word_frequency import BANDS, UNSEEN

_MOST_BITS = 120.0  # the perplexity of words with more bits does not fit into float32


@dataclass(frozen=True)
class WordSums:
    """Sums over masked words. Their ratios are the measures, so no measure is a mean of means.

    Attributes:
        words: the number of words.
        size: their bytes in UTF-8.
        bits: the bits that the encoder needs for them.
        unigram_bits: the bits that a unigram model of the same tokenizer needs; NaN if it is not known.
    """

    words: int = 0
    size: int = 0
    bits: float = 0.0
    unigram_bits: float = 0.0

    def __add__(self, other: WordSums) -> WordSums:
        return WordSums(
            self.words + other.words,
            self.size + other.size,
            self.bits + other.bits,
            self.unigram_bits + other.unigram_bits,
        )

    def bits_per_byte(self) -> float:
        """Return the bits that the encoder needs for a byte."""
        return self.bits / max(1, self.size)

    def unigram_bits_per_byte(self) -> float:
        """Return the bits that the unigram model needs for a byte."""
        return self.unigram_bits / max(1, self.size)

    def perplexity(self) -> float:
        """Return the perplexity of a word, 2 to the power of its mean bits. It compares between tokenizers, too."""
        return float(2.0 ** min(self.bits / max(1, self.words), _MOST_BITS))


def sum_words(rows: Iterable[Mapping[str, Any]]) -> tuple[WordSums, dict[str, WordSums]]:
    """Return the sums over all masked words of some passages, and the sums in each frequency band that has words.

    Args:
        rows: rows of `predictions/masked_words.jsonl`. Those of an older run have no `bands` and no `unigram_bits`.
    """
    whole, found = WordSums(), dict.fromkeys((*BANDS, UNSEEN), WordSums())
    for row in rows:
        count = len(row["words"])
        bands, unigram = row.get("bands") or [""] * count, row.get("unigram_bits") or [math.nan] * count
        for span, bits, other, band in zip(row["words"], row["bits"], unigram, bands, strict=True):
            word = WordSums(1, num_bytes(row["text"], *span), float(bits), float(other))
            whole += word
            if band in found:
                found[band] += word
    return whole, {band: sums for band, sums in found.items() if sums.words}
