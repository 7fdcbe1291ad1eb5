"""Randomness without state: a draw is a function of a key and of counters.

So an example is the same whichever worker or rank makes it, in whatever order, and after a resume. The generator is
SplitMix64 (Steele et al. 2014, "Fast splittable pseudorandom number generators") with the counters mixed in one by one.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint64]


class Stream(IntEnum):
    """What a draw is for. Two purposes never share a stream, or their decisions would be correlated."""

    ORDER = 0
    PAIR = 1
    MASK = 2
    SUBSET = 3


def draw(key: npt.ArrayLike, *counters: npt.ArrayLike) -> Bits:
    """Random bits, 64 for each element. Key and counters broadcast; further counters refine what came before."""
    bits = np.asarray(key).astype(np.uint64)
    with np.errstate(over="ignore"):
        for counter in counters:
            # +1, so that a counter of 0 also moves the state
            step = (np.asarray(counter).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
            bits = _mix(bits + step)
    return bits


def uniform(bits: Bits) -> npt.NDArray[np.float64]:
    """Bits -> [0, 1)."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def integers(bits: Bits, below: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Bits -> whole numbers from 0 to `below` - 1, `below` up to 2**53."""
    return np.asarray(uniform(bits) * np.asarray(below)).astype(np.int64)


def permute(positions: npt.ArrayLike, size: int, key: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Where a random permutation of range(size) sends each position. `key`, one a position or one for all, chooses it.

    No table: a Feistel network over the next even number of bits, walked until it lands inside (Black and Rogaway
    2002, "Ciphers with arbitrary finite domains"). Any position of any permutation costs the same.
    """
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    low = (np.uint64(1) << half) - np.uint64(1)
    x = np.atleast_1d(np.asarray(positions)).astype(np.uint64)
    keys = np.broadcast_to(np.asarray(key).astype(np.uint64), x.shape)
    outside = np.ones(x.shape, dtype=bool)
    while outside.any():
        left, right = x[outside] >> half, x[outside] & low
        for step in range(4):
            left, right = right, left ^ (draw(keys[outside], step, right) & low)
        x[outside] = (left << half) | right
        outside = x >= np.uint64(size)
    return x.astype(np.int64)


def _mix(x: Any) -> Any:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
