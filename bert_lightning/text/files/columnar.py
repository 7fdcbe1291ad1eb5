"""Read Parquet and Arrow files row by row."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert_lightning.errors import UserError
from bert_lightning.text.files.lines import PART_BYTES, Part

if TYPE_CHECKING:
    import pyarrow

SUFFIXES = (".parquet", ".arrow", ".feather")
_ROWS_AT_ONCE = 1024


def parts(path: Path) -> list[Part]:
    """Return the parts of a file: row groups of Parquet, about PART_BYTES in a part. An Arrow file is one part."""
    if path.suffix != ".parquet":
        return [Part((str(path),))]
    metadata = _parquet(path).metadata
    cuts, size = [0], 0
    for group in range(metadata.num_row_groups):
        size += metadata.row_group(group).total_byte_size
        if size >= PART_BYTES or group == metadata.num_row_groups - 1:
            cuts.append(group + 1)
            size = 0
    return [Part((str(path),), start, end) for start, end in pairwise(cuts)]


def read(path: Path, start: int = 0, end: int | None = None, columns: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    """Yield the rows of an Arrow file, or of the row groups from `start` up to `end` of a Parquet file.

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
        raise UserError(f"{path} is damaged, or no {path.suffix} file ({error}): get it again") from None


def _batches(path: Path, start: int, end: int | None, columns: Collection[str]) -> Iterator[pyarrow.RecordBatch]:
    import pyarrow

    if path.suffix == ".parquet":
        file = _parquet(path)
        groups = range(start, file.metadata.num_row_groups if end is None else end)
        names = _known(path, columns, file.schema_arrow.names)
        yield from file.iter_batches(_ROWS_AT_ONCE, row_groups=list(groups), columns=names)
        return
    with pyarrow.memory_map(str(path)) as source:
        try:
            table = pyarrow.ipc.open_file(source)
            batches = (table.get_batch(i) for i in range(table.num_record_batches))
        except pyarrow.ArrowInvalid:  # the stream format, in which `datasets` stores its files, has no index
            source.seek(0)
            table = pyarrow.ipc.open_stream(source)
            batches = iter(table)
        names = _known(path, columns, table.schema.names)
        for batch in batches:
            for row in range(0, batch.num_rows, _ROWS_AT_ONCE):
                yield batch.slice(row, _ROWS_AT_ONCE).select(names)


def _parquet(path: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except PermissionError:
        raise
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged, or no .parquet file ({error}): get it again") from None


def _known(path: Path, columns: Collection[str], names: list[str]) -> list[str]:
    """Return the names of the columns to read; raise UserError if a name is missing or occurs twice."""
    for name in columns:
        if name not in names:
            raise UserError(f"{path} has no column {name!r}; it has {', '.join(map(repr, names))}")
    wanted = list(columns) or names
    if twice := [name for name in wanted if names.count(name) > 1]:
        raise UserError(f"{path}: two columns are named {twice[0]!r}: rename one")
    return wanted
