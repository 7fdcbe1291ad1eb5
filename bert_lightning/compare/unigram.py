"""The baseline of language modelling: words drawn by their frequency, whatever stands around them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from bert_lightning.data.store import TokenStore


def unigram_perplexity(train: TokenStore, words: npt.NDArray[np.int64], vocab_size: int) -> float:
    """Exp of the mean negative log-likelihood of `words` [M], by their frequency in `train` with one count added."""
    counts = np.ones(vocab_size)
    for start in range(0, len(train.tokens), 1 << 24):
        counts += np.bincount(train.tokens[start : start + (1 << 24)], minlength=vocab_size)
    return math.exp(-np.log(counts / counts.sum())[words].mean())
