"""Read Parquet and Arrow files row by row. The file may be compressed, as in .parquet.gz."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Collection, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert_lightning.errors import UserError
from bert_lightning.text.files.lines import PART_BYTES, Part, inner_suffix, is_compressed, open_bytes

if TYPE_CHECKING:
    import pyarrow

_ROWS_AT_ONCE = 1024


def columnar_parts(path: Path) -> list[Part]:
    """Return the parts of a file. For Parquet, a part has row groups of about PART_BYTES. Another file is one part."""
    if path.suffix.lower() != ".parquet":
        return [Part((str(path),))]
    with _parquet(path) as file:
        metadata = file.metadata
    cuts, size = [0], 0
    for group in range(metadata.num_row_groups):
        size += metadata.row_group(group).total_byte_size
        if size >= PART_BYTES or group == metadata.num_row_groups - 1:
            cuts.append(group + 1)
            size = 0
    return [Part((str(path),), start, end) for start, end in pairwise(cuts)]


def read_columnar(
    path: Path, start: int = 0, end: int | None = None, columns: Collection[str] = ()
) -> Iterator[dict[str, Any]]:
    """Yield the rows of an Arrow file, or of the row groups from `start` up to `end` of a Parquet file.

    These formats need random access, so a compressed file is first unpacked into a temporary file.

    Args:
        path: the file.
        start: first row group of a Parquet file.
        end: row group of a Parquet file at which to stop; None reads all.
        columns: names of the columns to read; empty for all.

    Raises:
        UserError: if the file is damaged, has no such column, or has two columns of that name.
    """
    import pyarrow

    try:
        for batch in _batches(path, start, end, columns):
            yield from batch.to_pylist()
    except PermissionError:
        raise
    except (pyarrow.ArrowException, OSError, StopIteration, ValueError, OverflowError) as error:
        raise _damaged(path, error) from None


def _batches(path: Path, start: int, end: int | None, columns: Collection[str]) -> Iterator[pyarrow.RecordBatch]:
    import pyarrow

    if inner_suffix(path).lower() == ".parquet":
        with _parquet(path) as file:
            groups = range(start, file.metadata.num_row_groups if end is None else end)
            names = _known(path, columns, file.schema_arrow.names)
            yield from file.iter_batches(_ROWS_AT_ONCE, row_groups=list(groups), columns=names)
        return
    with _unpacked(path) if is_compressed(path) else pyarrow.memory_map(str(path)) as source:
        try:
            table = pyarrow.ipc.open_file(source)
            batches = (table.get_batch(i) for i in range(table.num_record_batches))
        except pyarrow.ArrowInvalid:  # the stream format, which `datasets` uses for its files, has no index
            source.seek(0)
            table = pyarrow.ipc.open_stream(source)
            batches = iter(table)
        names = _known(path, columns, table.schema.names)
        for batch in batches:
            for row in range(0, batch.num_rows, _ROWS_AT_ONCE):
                yield batch.slice(row, _ROWS_AT_ONCE).select(names)


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    import pyarrow
    from pyarrow import parquet

    with _unpacked(path) if is_compressed(path) else contextlib.nullcontext(path) as source:
        try:
            file = parquet.ParquetFile(source)
        except PermissionError:
            raise
        except (pyarrow.ArrowException, OSError) as error:
            raise _damaged(path, error) from None
        with file:
            yield file


@contextlib.contextmanager
def _unpacked(path: Path) -> Iterator[Any]:
    """Yield a temporary file with the content of a compressed file, and delete it at the end."""
    with tempfile.TemporaryFile() as file:
        with open_bytes(path) as packed:
            shutil.copyfileobj(packed, file)
        file.seek(0)
        yield file


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is damaged, or not a {inner_suffix(path)} file ({error}): get it again")


def _known(path: Path, columns: Collection[str], names: list[str]) -> list[str]:
    """Return the names of the columns to read; raise UserError if a name is missing or occurs twice."""
    for name in columns:
        if name not in names:
            there = ", ".join(map(repr, names)) or "no columns at all"
            raise UserError(f"{path} has no column {name!r}, only {there}: name the right one")
    wanted = list(columns) or names
    if twice := [name for name in wanted if names.count(name) > 1]:
        raise UserError(f"{path}: two columns are named {twice[0]!r}: rename one")
    return wanted
