"""Random numbers without state: a random number is a function of a key and of counters.

So an example does not depend on the worker or rank that makes it, on the order, or on a resume. The generator is
SplitMix64 (Steele et al. 2014, "Fast splittable pseudorandom number generators"). Counters are mixed in one by one.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_lightning.data.arrays import Bits

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio


class RandomStream(IntEnum):
    """The purposes of random numbers. Each purpose has its own stream, so that decisions are not correlated."""

    ORDER = 0
    PAIR = 1
    MASK = 2
    SUBSET = 3
    PHASE = 4
    SINGLE_SENTENCE = 5
    PACK = 6
    SAMPLE = 7
    BATCH = 8


def random_bits(key: npt.ArrayLike, *counters: npt.ArrayLike) -> Bits:
    """Return 64 random bits for each element of the broadcast key and counters.

    Counters are mixed in one by one: random_bits(key, a, b) equals random_bits(random_bits(key, a), b).
    """
    bits = np.asarray(key).astype(np.uint64)
    with np.errstate(over="ignore"):
        for counter in counters:
            step = np.asarray(counter).astype(np.uint64)
            step *= _GOLDEN
            step += _GOLDEN  # count from 1, so that a counter of 0 also changes the state
            bits = _mix(bits + step)
    return bits


def uniform_floats(bits: Bits) -> npt.NDArray[np.float64]:
    """Turn random bits into floats in [0, 1)."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def uniform_integers(bits: Bits, below: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Turn random bits into integers from 0 to `below` - 1. `below` is at most 2**53."""
    return np.asarray(uniform_floats(bits) * np.asarray(below)).astype(np.int64)


def random_permutation(positions: npt.ArrayLike, size: npt.ArrayLike, key: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the image of each position under a random permutation of range(size).

    `size` and `key` are one value for all positions, or one for each. No table is needed: a Feistel network permutes a
    rectangle that is slightly larger than the range. It is repeated until the result lies in the range: Black and
    Rogaway 2002, "Ciphers with arbitrary finite domains", method 3. One pass is nearly always enough.
    """
    x = np.atleast_1d(np.asarray(positions)).astype(np.uint64)
    sizes = np.broadcast_to(np.asarray(size).astype(np.uint64), x.shape)
    keys = np.broadcast_to(np.asarray(key).astype(np.uint64), x.shape)
    walking = np.arange(len(x))
    while len(walking):
        x[walking] = _feistel(x[walking], sizes[walking], keys[walking])
        walking = walking[x[walking] >= sizes[walking]]
    return x.astype(np.int64)


def _feistel(x: Bits, sizes: Bits, keys: Bits) -> Bits:
    """Permute range(width * height), the rectangle that contains range(sizes)."""
    width = np.ceil(np.sqrt(sizes.astype(np.float64))).astype(np.uint64)
    height = (sizes + width - np.uint64(1)) // width
    left, right = x // height, x % height
    rounds = random_bits(keys, np.arange(4)[:, None])  # one key for each of four rounds
    for even, odd in ((0, 1), (2, 3)):
        left = (left + random_bits(rounds[even], right) % width) % width
        right = (right + random_bits(rounds[odd], left) % height) % height
    permuted: Bits = left * height + right
    return permuted


def _mix(x: Any) -> Any:
    """Apply SplitMix64's output function. An array is changed in place."""
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x
