"""Find duplicates among the documents of a corpus by their digests, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

DIGEST_BYTES = 16
_DIGESTS_AT_ONCE = 2**24  # digests in memory: 16 bytes each, and 16 more to sort them


def first_occurrences(files: Sequence[Path]) -> npt.NDArray[np.bool_]:
    """Return an array that is true at the first occurrence of each digest, over all files in order.

    A missing file counts as empty. The function needs memory for one byte per digest, and for 16 M digests at a time.
    """
    kept = np.ones(sum(path.stat().st_size for path in files if path.exists()) // DIGEST_BYTES, np.bool_)
    buckets = 1 + len(kept) // _DIGESTS_AT_ONCE
    for bucket in range(buckets):
        positions, digests = [np.zeros(0, np.int64)], [np.zeros((0, 2), "<u8")]
        for begin, block in _digests(files):
            mine = np.flatnonzero(block[:, 0] % buckets == bucket)
            positions.append(begin + mine)
            digests.append(block[mine])
        position, digest = np.concatenate(positions), np.concatenate(digests)
        order = np.lexsort((position, digest[:, 1], digest[:, 0]))
        same = (digest[order[1:]] == digest[order[:-1]]).all(axis=1)
        kept[position[order[1:][same]]] = False
    return kept


def _digests(files: Sequence[Path]) -> Iterator[tuple[int, npt.NDArray[np.uint64]]]:
    begin = 0
    for path in files:
        if path.exists():
            block = np.fromfile(path, "<u8").reshape(-1, 2)
            yield begin, block
            begin += len(block)
