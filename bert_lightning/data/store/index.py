"""Tables with the positions of examples in a store: files that are made once in bounded memory, then memory-mapped.

A table is in the folder of its store, or in the user's cache if that folder is read-only. Its name depends on all
settings that determine its content. A second file has its size and hash, so that a damaged table is made again. A
table may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bert_lightning.data.arrays import Ints
from bert_lightning.data.store.token_store import ALWAYS_HASHED_BYTES, TokenStore, file_sha256, write_atomically

_WINDOW = 1 << 17  # sentences that are processed together


class MappedTable:
    """A memory-mapped table of int64 with `columns` columns.

    Pickling stores only its path, so that a worker maps the file instead of copying it.
    """

    def __init__(self, path: Path, columns: int) -> None:
        self.path, self.columns = path, columns
        empty = path.stat().st_size == 0
        flat = np.empty(0, np.int64) if empty else np.asarray(np.memmap(path, np.int64, mode="r"))
        self.rows: Ints = flat.reshape(-1, columns)

    def __reduce__(self) -> tuple[Any, ...]:
        return MappedTable, (self.path, self.columns)


def cached_table(store: TokenStore, name: str, columns: int, write: Callable[[BinaryIO], None]) -> MappedTable:
    """Return the table `name` of a store. If it is missing or damaged, `write` makes its file first."""
    counts = store.counts()
    digest = hashlib.sha256(repr((name, counts, store.folder.resolve())).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bert_lightning"
    paths = [folder / f"{name}-{digest}.i64" for folder in (store.folder / "index", cache)]
    for path in paths:
        if _is_intact(path):
            return MappedTable(path, columns)
    for path in paths:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial, temporary = tempfile.mkstemp(prefix=f"{path.name}.partial-", dir=path.parent)
        except OSError:
            if path is paths[-1]:
                raise
            continue
        break
    try:
        with os.fdopen(partial, "w+b") as file:
            write(file)
        checksum = _checksum(Path(temporary))
        os.replace(temporary, path)
        write_atomically(_checksum_file(path), checksum)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return MappedTable(path, columns)


def _checksum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _checksum(path: Path) -> str:
    """Return the text of a table's second file: the table's size, and its hash if hashing is quick."""
    size = path.stat().st_size
    return f"{size} {file_sha256(path) if size <= ALWAYS_HASHED_BYTES else ''}\n"


def _is_intact(path: Path) -> bool:
    """Return whether a table exists and has the size and hash in its second file."""
    try:
        return _checksum_file(path).read_text(encoding="utf-8") == _checksum(path)
    except (OSError, ValueError):
        return False


def rows_writer(blocks: Iterable[Ints]) -> Callable[[BinaryIO], None]:
    """Return a function that writes blocks of rows into a file, one after another."""

    def write(file: BinaryIO) -> None:
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=np.int64).tobytes())

    return write


def sentence_runs(store: TokenStore, ends: Callable[[Ints, Ints, Ints], Ints], look_ahead: int) -> Iterator[Ints]:
    """Cut a store's sentences into consecutive runs. Yield the sentences [begin, end) of n runs at a time, [n, 2].

    Args:
        store: token store of the sentences.
        ends: function (numbers [n], starts, documents [n]) -> ends [n]: the end of a run that begins at each of n
            sentences, from their numbers and documents. `starts` has the first tokens of these and of the next
            `look_ahead` sentences.
        look_ahead: maximal number of sentences in a run.
    """
    begin, total = 0, len(store.sentences) - 1
    while begin < total:
        stop = min(begin + _WINDOW, total)
        numbers = np.arange(begin, stop)
        starts = np.asarray(store.sentences[begin : min(stop + look_ahead, total) + 1])
        documents = np.searchsorted(store.documents, numbers, side="right") - 1
        following = ends(numbers, starts, documents).tolist()
        boundaries = [begin]
        while boundaries[-1] < stop:
            boundaries.append(following[boundaries[-1] - begin])
        begin = boundaries[-1]
        yield sliding_window_view(boundaries, 2)
