"""Number words without a Python object per word: a hash table whose keys and slots are NumPy arrays.

The key of a word is its UTF-8 bytes, so equal keys mean equal words. The key of a word of more than 24 bytes is its
BLAKE2 digest.

pyarrow's `dictionary_encode` could replace this module, but is slower. With it, tokenizing the film reviews takes 1.13
times as long while words are new, and 1.31 times as long when all are known. It needs 87 MB of memory instead of 65 MB.
If the known words are in Arrow too, it takes 1.30 and 2.30 times as long, and 100 MB. See experiments/benchmark_data.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

_LANES, _LANE = 3, 8  # a key is 3 integers of 8 bytes
_SPACE = ord(" ")
_ALL = 2**64 - 1
_BEYOND = np.array([_ALL << 8 * bytes_ & _ALL for bytes_ in range(_LANE + 1)], "<u8")  # entry n: the bits after n bytes
# UTF-8 has no bytes from 0xf8 on. So 0xff can pad short keys, and no key that consists of bytes begins with these two.
_LONG, _NO_WORD = 0xFE, 0xFD
# Odd numbers with well-mixed bits.
_FACTORS = np.array([[0x9E3779B97F4A7C15], [0xC2B2AE3D27D4EB4F], [0x165667B19E3779F9]], np.uint64)

_Keys = npt.NDArray[np.uint64]  # [lanes, words]
_Ints = npt.NDArray[np.int64]


class WordNumbers:
    """A table that numbers words from 1 on, in about the order of their first occurrence. No word has the number 0."""

    def __init__(self) -> None:
        self._keys: _Keys = np.full((_LANES, 1), _NO_WORD, np.uint64)  # column n: key of word n
        self._make_slots(0)

    def __len__(self) -> int:
        """Return the next number that a new word gets."""
        return len(self._keys[0])

    def __call__(self, text: bytes) -> tuple[_Ints, list[str]]:
        """Return the number of every word in a UTF-8 text with spaces between words, and the new words by number."""
        data = np.frombuffer(text + bytes(_LANES * _LANE), np.uint8)
        spaces = np.flatnonzero(data == _SPACE)
        begin, end = np.append(0, spaces + 1), np.append(spaces, len(text))
        numbers, new = self._look_up(_keys_of(data, begin, end))
        words = b" ".join([text[a:b] for a, b in zip(begin[new].tolist(), end[new].tolist(), strict=True)])
        return numbers, words.decode().split(" ") if len(new) else []

    def forget(self, kept: int) -> None:
        """Delete all words except those with a number below `kept`."""
        self._keys = self._keys[:, :kept].copy()
        self._make_slots(kept)

    def _look_up(self, keys: _Keys) -> tuple[_Ints, _Ints]:
        """Return the number of each key, and the indices of the keys that got a new number."""
        most = len(self) + keys.shape[1]
        if 2 * most > len(self._slots):
            self._make_slots(most)
        mask, numbers = len(self._slots) - 1, np.zeros(keys.shape[1], np.int64)
        slot, left, new = _hash(keys) & mask, np.arange(len(numbers)), []
        while len(left):
            new.append(self._number(keys, slot, left[self._slots.take(slot.take(left)) == 0]))
            found = self._slots.take(slot.take(left)).astype(np.int64)
            numbers[left] = found
            left = left[(self._keys.take(found, axis=1) != keys.take(left, axis=1)).any(axis=0)]
            slot[left] = (slot[left] + 1) & mask
        return numbers, np.concatenate(new)

    def _number(self, keys: _Keys, slot: _Ints, free: _Ints) -> _Ints:
        """Number the keys that found a `free` slot, one key per slot. Return the indices of these keys."""
        self._slots[slot[free]] = -1 - free  # of several keys for one slot, the last one stays
        new: _Ints = free[self._slots[slot[free]] == -1 - free]
        self._slots[slot[new]] = len(self) + np.arange(len(new))
        self._keys = np.concatenate([self._keys, keys[:, new]], axis=1)
        return new

    def _make_slots(self, words: int) -> None:
        """Make a new table with more than twice as many slots as `words`, and insert the known words."""
        mask = (2 << words.bit_length()) - 1
        self._slots = np.zeros(mask + 1, np.int32)  # slot -> number of its word, 0 if it is free
        slot, left = _hash(self._keys) & mask, np.arange(1, len(self))
        while len(left):
            free = left[self._slots[slot[left]] == 0]
            self._slots[slot[free]] = free  # of several words for one slot, the last one stays
            left = left[self._slots[slot[left]] != left]
            slot[left] = (slot[left] + 1) & mask


def _keys_of(data: npt.NDArray[np.uint8], begin: _Ints, end: _Ints) -> _Keys:
    """Return the keys of the words [begin, end) of `data`. `data` must be a key longer than its last word."""
    lanes = np.ndarray((len(data) - _LANE + 1,), "<u8", data, strides=(1,))  # the 8 bytes that start at each byte
    keys = np.empty((_LANES, len(begin)), np.uint64)
    for lane, key in enumerate(keys):
        after = begin + lane * _LANE
        within = np.minimum(np.maximum(end - after, 0), _LANE)  # how many of these 8 bytes belong to the word
        key[:] = lanes.take(after, mode="clip") | _BEYOND.take(within)
    for long in np.flatnonzero(end - begin > _LANES * _LANE).tolist():
        digest = hashlib.blake2b(data[begin[long] : end[long]].tobytes(), digest_size=(_LANES - 1) * _LANE).digest()
        keys[:, long] = _LONG, *np.frombuffer(digest, "<u8")
    return keys


def _hash(keys: _Keys) -> _Ints:
    """Return a hash of each key, [lanes, words] -> [words]."""
    mixed: npt.NDArray[np.uint64] = np.bitwise_xor.reduce(keys * _FACTORS, axis=0)
    mixed ^= mixed >> np.uint64(32)
    mixed *= _FACTORS[0]
    return (mixed >> np.uint64(20)).astype(np.int64)
