"""Numbers for words without a Python object per word: a hash table whose keys and slots are NumPy arrays.

The key of a word is its UTF-8 bytes themselves, so that equal keys are equal words; only a word of more than 24 bytes
is known by its BLAKE2 digest.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

_LANES, _LANE = 3, 8  # a key is so many numbers of so many bytes
_SPACE = ord(" ")
_ALL = 2**64 - 1
_BEYOND = np.array([_ALL << 8 * bytes_ & _ALL for bytes_ in range(_LANE + 1)], "<u8")  # the bits after so many bytes
# No UTF-8 has bytes from 0xf8 on: 0xff fills the keys of words, and these two begin the key of none.
_LONG, _NO_WORD = 0xFE, 0xFD
_FACTORS = np.array([[0x9E3779B97F4A7C15], [0xC2B2AE3D27D4EB4F], [0x165667B19E3779F9]], np.uint64)  # odd, bits mixed

_Keys = npt.NDArray[np.uint64]  # [lanes, words]
_Ints = npt.NDArray[np.int64]


class WordNumbers:
    """Numbers words from 1 on, in about the order in which they are met. No word has the number 0."""

    def __init__(self) -> None:
        self._keys: _Keys = np.full((_LANES, 1), _NO_WORD, np.uint64)  # by number
        self._make_slots(0)

    def __len__(self) -> int:
        """The next number."""
        return len(self._keys[0])

    def __call__(self, text: bytes) -> tuple[_Ints, list[str]]:
        """The number of every word between the spaces of a text in UTF-8, and those that are new, as numbered."""
        data = np.frombuffer(text + bytes(_LANES * _LANE), np.uint8)
        spaces = np.flatnonzero(data == _SPACE)
        begin, end = np.append(0, spaces + 1), np.append(spaces, len(text))
        numbers, new = self._look_up(_keys_of(data, begin, end))
        words = b" ".join([text[a:b] for a, b in zip(begin[new].tolist(), end[new].tolist(), strict=True)])
        return numbers, words.decode().split(" ") if len(new) else []

    def forget(self, kept: int) -> None:
        """All but the numbers below `kept`."""
        self._keys = self._keys[:, :kept].copy()
        self._make_slots(kept)

    def _look_up(self, keys: _Keys) -> tuple[_Ints, _Ints]:
        """The number of each key, and the places of those that got a new one."""
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
        """Give numbers to those of the keys that came upon a `free` slot, one to a slot: which got one."""
        self._slots[slot[free]] = -1 - free  # the last one stays
        new: _Ints = free[self._slots[slot[free]] == -1 - free]
        self._slots[slot[new]] = len(self) + np.arange(len(new))
        self._keys = np.concatenate([self._keys, keys[:, new]], axis=1)
        return new

    def _make_slots(self, words: int) -> None:
        """More than twice as many slots as there will be words, and those of the words that there are."""
        mask = (2 << words.bit_length()) - 1
        self._slots = np.zeros(mask + 1, np.int32)  # the number of the word that has it, 0 where it is free
        slot, left = _hash(self._keys) & mask, np.arange(1, len(self))
        while len(left):
            free = left[self._slots[slot[left]] == 0]
            self._slots[slot[free]] = free  # the last one stays
            left = left[self._slots[slot[left]] != left]
            slot[left] = (slot[left] + 1) & mask


def _keys_of(data: npt.NDArray[np.uint8], begin: _Ints, end: _Ints) -> _Keys:
    """The keys of the words [begin, end) of `data`, which goes on for the bytes of a key after the last one."""
    lanes = np.ndarray((len(data) - _LANE + 1,), "<u8", data, strides=(1,))  # the 8 bytes from each byte on
    keys = np.empty((_LANES, len(begin)), np.uint64)
    for lane, key in enumerate(keys):
        after = begin + lane * _LANE
        within = np.minimum(np.maximum(end - after, 0), _LANE)  # how many of these 8 bytes are the word's
        key[:] = lanes.take(after, mode="clip") | _BEYOND.take(within)
    for long in np.flatnonzero(end - begin > _LANES * _LANE).tolist():
        digest = hashlib.blake2b(data[begin[long] : end[long]].tobytes(), digest_size=(_LANES - 1) * _LANE).digest()
        keys[:, long] = _LONG, *np.frombuffer(digest, "<u8")
    return keys


def _hash(keys: _Keys) -> _Ints:
    mixed: npt.NDArray[np.uint64] = np.bitwise_xor.reduce(keys * _FACTORS, axis=0)
    mixed ^= mixed >> np.uint64(32)
    mixed *= _FACTORS[0]
    return (mixed >> np.uint64(20)).astype(np.int64)
