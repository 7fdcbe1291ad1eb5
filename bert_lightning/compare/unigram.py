"""The unigram baseline of language modeling: tokens predicted by their frequency, without any context."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from bert_lightning.data.store.token_store import TokenStore


def unigram_perplexity(train: TokenStore, words: npt.NDArray[np.int64], vocab_size: int) -> float:
    """Return the perplexity of the token ids `words` [M] under a unigram model of `train`.

    It is the exponential of the mean negative log-likelihood. The model adds one to the count of each token.
    """
    counts = np.ones(vocab_size)
    for start in range(0, len(train.tokens), 1 << 24):
        counts += np.bincount(train.tokens[start : start + (1 << 24)], minlength=vocab_size)
    return math.exp(-np.log(counts / counts.sum())[words].mean())
