"""Read the loss of masked words, in bits per byte, that a pretraining keeps for each passage."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bert_lightning.compare.example_values import ratio_metric
from bert_lightning.compare.measurements import Measurement
from bert_lightning.compare.results import Breakdown
from bert_lightning.data.store.passages import num_bytes
from bert_lightning.errors import UserError
from bert_lightning.runs.predictions_file import BITS_PER_BYTE, Predictions, read_predictions
from bert_lightning.runs.word_sums import WordSums, sum_words


def word_measurement(path: Path, arm: str, seed: int) -> Measurement:
    """Return the bits per byte of a file `masked_words.jsonl`, with jackknife pseudo-values of its passages.

    The id of a passage is a hash of its text, and its text says which words are masked. So equal ids are equal words.

    Raises:
        UserError: if the file is missing or damaged.
    """
    kept = read_predictions(path)
    try:
        bits = np.array([float(sum(row["bits"])) for row in kept.rows])
        sizes = np.array([float(sum(num_bytes(row["text"], *span) for span in row["words"])) for row in kept.rows])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}): pretrain the run again") from None
    value, values = ratio_metric(bits, sizes)
    return Measurement(arm, seed, None, BITS_PER_BYTE, value, tuple(row["id"] for row in kept.rows), values)


def words_by_band(kept: Sequence[tuple[str, Predictions]]) -> list[Breakdown]:
    """Return the mean bits per byte of each arm in each frequency band, and those of its unigram model over all words.

    There is no such table for runs of older versions, or if the words or their bands differ. It is exploratory: no
    interval or test is made of it.

    Args:
        kept: the label of the arm and the masked words of each run.
    """
    found: dict[str, list[tuple[WordSums, dict[str, WordSums]]]] = {}
    words = set()
    for arm, predictions in kept:
        try:
            words.add(frozenset((row["id"], *row["bands"]) for row in predictions.rows))
            found.setdefault(arm, []).append(sum_words(predictions.rows))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return []  # a damaged file is noted where it is measured
    if len(words) != 1:
        return []
    whole, bands = next(iter(found.values()))[0]
    values: dict[str, list[float | None]] = {
        arm: [
            *(statistics.fmean(own[band].bits_per_byte() for _, own in runs) for band in bands),
            statistics.fmean(own.unigram_bits_per_byte() for own, _ in runs),
        ]
        for arm, runs in found.items()
    }
    title = "masked words by frequency in the training text (exploratory)"
    categories = [*bands, "all words, by a unigram model"]
    return [
        Breakdown(title, BITS_PER_BYTE, categories, [*(sums.words for sums in bands.values()), whole.words], values)
    ]
