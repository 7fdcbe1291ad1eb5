"""Read the rows of a user's table, for pretraining and for tasks.

`FORMATS` has, for each file ending, the functions that read the rows and divide a file into parts. Every file may be
compressed: `inner_suffix` returns the ending without .gz, .bz2 or .xz.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bert_lightning.errors import UserError
from bert_lightning.text.files.columnar import columnar_parts, read_columnar
from bert_lightning.text.files.json_rows import json_parts, read_json_lines, read_json_rows
from bert_lightning.text.files.json_text import described
from bert_lightning.text.files.lines import Part, inner_suffix, split_at_lines
from bert_lightning.text.files.tables import read_delimited


class Row(NamedTuple):
    """One row of a source, with its place for error messages."""

    where: str  # such as file:line
    values: Mapping[str, Any]

    def get(self, column: str, setting: str | None = None) -> Any:
        """Return the value of a column.

        Args:
            column: name of the column.
            setting: config key that names the column; an error mentions it.

        Raises:
            UserError: if there is no such column, or no value in it (null, NaN, Infinity).
        """
        if column not in self.values:
            names = ", ".join(map(repr, self.values)) or "no columns at all"
            fix = f"name the right one by {setting}" if setting else "name the right one"
            raise UserError(f"{self.where}: there is no column {column!r}, only {names}: {fix}")
        value = self.values[column]
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            written = "null" if value is None else value
            raise UserError(f"{self.where}: no value in column {column!r} ({written}): leave such rows out")
        return value

    def text(self, column: str, setting: str | None = None) -> str:
        """Return the value of a column as a text. Numbers and truth values are written as in JSON.

        Raises:
            UserError: if `get` raises it, or the value is a list or an object.
        """
        value = self.get(column, setting)
        if isinstance(value, str):
            return value
        if not isinstance(value, bool | int | float):
            raise UserError(f"{self.where}: column {column!r} must hold one text, not {described(value)}")
        return json.dumps(value)

    def has(self, wanted: Mapping[str, Any], setting: str) -> bool:
        """Return whether the columns have the wanted values, compared as texts.

        Args:
            wanted: column -> value.
            setting: config key of `wanted`; an error mentions it.

        Raises:
            UserError: if `get` raises it for a column.
        """
        return all(_written(self.get(column, setting)) == _written(value) for column, value in wanted.items())


@dataclass(frozen=True)
class Selection:
    """The rows and columns of a file that are read.

    Attributes:
        header: names of the first columns of a CSV or TSV file without a header line; None for a file with one.
        leave_out_short: whether rows of a CSV or TSV file with too few columns are left out.
        columns: columns to read from Parquet and Arrow files; empty for all. Other files are read with all columns.
        start: first byte of JSON lines, or first row group of Parquet. Other files are read completely.
        end: byte or row group at which to stop; None reads all.
    """

    header: Sequence[str] | None = None
    leave_out_short: bool = False
    columns: Collection[str] = ()
    start: int = 0
    end: int | None = None


PlacedRows = Iterator[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class TableFormat:
    """The reader of one table format, and the function that divides a file of this format into parts."""

    read: Callable[[Path, Selection], PlacedRows]  # yields the place and the values of each row
    parts: Callable[[Path], list[Part]] = lambda path: [Part((str(path),))]


def _commas(path: Path, selection: Selection) -> PlacedRows:
    for line, values in read_delimited(path, False, selection.header, selection.leave_out_short):
        yield f"{path}:{line}", values


def _tabs(path: Path, selection: Selection) -> PlacedRows:
    for line, values in read_delimited(path, True, selection.header, selection.leave_out_short):
        yield f"{path}:{line}", values


def _columnar(path: Path, selection: Selection) -> PlacedRows:
    start = selection.start
    counted = f" (counted from row group {start})" if start else ""
    for number, values in enumerate(read_columnar(path, start, selection.end, selection.columns), 1):
        yield f"{path}, row {number}{counted}", values


_JSON_LINES = TableFormat(
    lambda path, selection: read_json_lines(path, selection.start, selection.end),
    lambda path: split_at_lines(path, at_blank_lines=False),
)
_COLUMNAR = TableFormat(_columnar, columnar_parts)
FORMATS = {
    ".csv": TableFormat(_commas),
    ".tsv": TableFormat(_tabs),
    ".jsonl": _JSON_LINES,
    ".ndjson": _JSON_LINES,
    ".json": TableFormat(lambda path, selection: read_json_rows(path, selection.start, selection.end), json_parts),
    ".parquet": _COLUMNAR,
    ".arrow": _COLUMNAR,
    ".feather": _COLUMNAR,
}


def is_table(path: Path) -> bool:
    """Return whether a file has the ending of a table."""
    return inner_suffix(path).lower() in FORMATS


def table_parts(path: Path) -> list[Part]:
    """Return the parts of a table that can be read separately.

    Raises:
        UserError: if the file does not have the ending of a table.
    """
    return _format_of(path).parts(path)


def read_rows(
    path: Path,
    header: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    leave_out_short: bool = False,
    *,
    columns: Collection[str] = (),
    start: int = 0,
    end: int | None = None,
) -> Iterator[Row]:
    """Yield the rows of a table. The ending of the file names its format; see `FORMATS`.

    In .tsv files, quotes are plain text, as in the files of GLUE. A .txt file is read as .tsv.

    Args:
        path: the file, compressed or not.
        header: as in `Selection`. Or a mapping from file name to names, if only some files lack the header line.
        leave_out_short: as in `Selection`.
        columns: as in `Selection`.
        start: as in `Selection`.
        end: as in `Selection`.

    Raises:
        UserError: if no format has the ending, a line is broken, or a row does not fit the header.
    """
    selection = Selection(_header(header, path), leave_out_short, columns, start, end)
    for where, values in _format_of(path).read(path, selection):
        yield Row(where, values)


def _format_of(path: Path) -> TableFormat:
    suffix = inner_suffix(path).lower()
    found = FORMATS.get(".tsv" if suffix == ".txt" else suffix)
    if found is None:
        raise UserError(
            f"{path}: rows are read from {', '.join(FORMATS)} files, each also with .gz, .bz2 or .xz, not from "
            f"{suffix or 'a file without an ending'}: convert it"
        )
    return found


def _header(header: Any, path: Path) -> Sequence[str] | None:
    """Return the column names that the setting gives for a file; None if it gives none."""
    names = header.get(path.name) if isinstance(header, Mapping) else header
    if names is None:
        return None
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise UserError(
            f"task.files.reader.header={header} must be a list of names, [text,label], or a file's name -> its list"
        )
    return names


def _written(value: Any) -> str:
    """Return a value as a text for comparison. A truth value in YAML equals `True` and `true` in a file."""
    text = str(value)
    return text.lower() if text in ("True", "False") else text
