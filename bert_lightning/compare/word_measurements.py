"""Read the loss of masked words, in bits per byte, that a pretraining keeps for each passage."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bert_lightning.compare.example_values import ratio_metric
from bert_lightning.compare.measurements import Measurement
from bert_lightning.data.store.passages import num_bytes
from bert_lightning.errors import UserError
from bert_lightning.runs.predictions_file import BITS_PER_BYTE, read_predictions


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
