"""The unigram model of a tokenizer: what the frequencies of tokens alone say, a reference for every encoder.

In its first updates, an encoder learns how frequent each token is, and its loss stays at this level until it learns to
use the context. An encoder has left this plateau once it needs fewer bits than the unigram model for the same words.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bert_lightning.data.store.token_store import TokenStore

_BLOCK = 2**20  # tokens
_MOST_BLOCKS = 64  # that are counted, which takes about a second


def unigram_bits(store: TokenStore, vocabulary_size: int) -> npt.NDArray[np.float64]:
    """Return the bits of each token id under a unigram model, [V].

    The probability of a token is (c + 1) / (N + V), for a token that occurs c times among the N tokens of the store and
    a vocabulary of V tokens (add-one smoothing). Of a store with more than 67 million tokens, 64 blocks are counted,
    spread evenly.
    """
    starts = range(0, len(store.tokens), _BLOCK)
    stride = -(-len(starts) // _MOST_BLOCKS)
    counts = np.zeros(vocabulary_size, np.int64)
    for start in starts[::stride]:
        counts += np.bincount(store.tokens[start : start + _BLOCK], minlength=vocabulary_size)
    bits: npt.NDArray[np.float64] = np.log2(counts.sum() + vocabulary_size) - np.log2(counts + 1)
    return bits
