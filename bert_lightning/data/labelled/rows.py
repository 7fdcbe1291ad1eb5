"""Rows of CSV, TSV, JSONL, JSON and Parquet files, each with its place for error messages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bert_lightning.errors import UserError
from bert_lightning.text.files import columnar
from bert_lightning.text.files.json_text import described, json_object, json_value
from bert_lightning.text.files.paths import read_lines
from bert_lightning.text.files.tables import read_delimited


class Row(NamedTuple):
    """One row of a source, with its place for error messages."""

    where: str  # file:line, or data set:row
    values: Mapping[str, Any]

    def get(self, column: str) -> Any:
        """Return the value of a column.

        Raises:
            UserError: if there is no such column, or no value in it (null, NaN, Infinity).
        """
        if column not in self.values:
            raise UserError(
                f"{self.where}: there is no column {column!r}, only {', '.join(map(repr, self.values))}: "
                "name the right one by task.columns"
            )
        value = self.values[column]
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            written = "null" if value is None else value
            raise UserError(f"{self.where}: no value in column {column!r} ({written}); leave such rows out")
        return value


# Endings of files that `read_table` reads. It also reads .txt as .tsv.
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")


def read_table(
    path: Path, header: Sequence[str] | Mapping[str, Sequence[str]] | None = None, leave_out_short: bool = False
) -> Iterator[Row]:
    """Yield the rows of a table. The ending of the file names its format.

    Args:
        path: .csv; .tsv or .txt (separated by tabs, quotes are text, as GLUE ships them); .jsonl; .json (a list, or an
            object of rows); or .parquet.
        header: names of the first columns of a CSV or TSV file without a header line; further columns are left out. Or
            a mapping from file name to these names, if only some files lack the header line.
        leave_out_short: whether to leave out the rows of a CSV or TSV file that have too few columns.

    Raises:
        UserError: if the ending is another one, a line is broken, or a row does not fit the header.
    """
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv", ".txt"):
        for line, row in read_delimited(path, suffix != ".csv", _header(header, path), leave_out_short):
            yield Row(f"{path}:{line}", row)
    elif suffix in (".jsonl", ".ndjson"):
        yield from _read_json_lines(path)
    elif suffix == ".json":
        yield from _read_json(path)
    elif suffix == ".parquet":
        for number, values in enumerate(columnar.read(path)):
            yield Row(f"{path}[{number}]", values)
    else:
        endings = ".csv, .tsv, .txt, .jsonl, .json and .parquet"
        raise UserError(f"{path}: rows are read from {endings} files, not from {suffix or 'a file without an ending'}")


def load_json(path: Path) -> Any:
    """Return the value of a JSON file.

    Raises:
        UserError: if the JSON is broken; the message names the line, as in `json_value`.
    """
    return json_value("\n".join(read_lines(path)), str(path), of_file=True)


def check_mappings(group: str, **settings: object) -> None:
    """Check that the settings of a config group are mappings of names to values.

    Raises:
        UserError: if a setting is not.
    """
    for name, value in settings.items():
        if not isinstance(value, Mapping):
            raise UserError(f"{group}.{name}={value} must be a mapping, {{name: value}}")


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


def _read_json_lines(path: Path) -> Iterator[Row]:
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        yield Row(place, json_object(line, place))


def _read_json(path: Path) -> Iterator[Row]:
    content = load_json(path)
    if not isinstance(content, dict | list):
        raise UserError(f"{path}: must hold a list or an object of rows, not {described(content)}")
    rows = content.items() if isinstance(content, dict) else enumerate(content)
    for key, values in rows:
        if not isinstance(values, dict):
            raise UserError(f"{path}: entry {key!r} must be a JSON object with the columns, not {described(values)}")
        yield Row(f"{path}[{key}]", values)
