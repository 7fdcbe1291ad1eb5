"""Rows with their place, from CSV, TSV, JSONL, JSON and Parquet files."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bert_lightning.errors import UserError
from bert_lightning.text.files import half_character, json_object, read_lines


class Row(NamedTuple):
    """One row of a source, and where it stands: what an error names."""

    where: str  # file:line, or data set:row
    values: Mapping[str, Any]

    def get(self, column: str) -> Any:
        """The value of a column.

        Raises:
            UserError: no such column, or no value there (null, NaN, Infinity).
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


TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")  # what `read_table` reads; it takes .txt for .tsv


def read_table(
    path: Path, header: Sequence[str] | Mapping[str, Sequence[str]] | None = None, leave_out_short: bool = False
) -> Iterator[Row]:
    """Rows of a table, in the format that the ending of the file names.

    Args:
        path: .csv; .tsv or .txt (tabs, quotes are text, as GLUE ships them); .jsonl; .json (a list, or an object of
            rows); .parquet.
        header: names of the first columns of a CSV or TSV file without a header line, columns beyond are left out; or
            file name -> these names, where only some of the files lack the line.
        leave_out_short: rows of a CSV or TSV file with too few columns are left out.

    Raises:
        UserError: another ending, a broken line, or a row that does not fit the header.
    """
    suffix = path.suffix.lower()
    header = header.get(path.name) if isinstance(header, Mapping) else header
    if suffix in (".csv", ".tsv", ".txt"):
        yield from _read_delimited(path, header, suffix != ".csv", leave_out_short)
    elif suffix in (".jsonl", ".ndjson"):
        yield from _read_json_lines(path)
    elif suffix == ".json":
        yield from _read_json(path)
    elif suffix == ".parquet":
        yield from _read_parquet(path)
    else:
        endings = ".csv, .tsv, .txt, .jsonl, .json and .parquet"
        raise UserError(f"{path}: rows are read from {endings} files, not from {suffix or 'a file without an ending'}")


def load_json(path: Path) -> Any:
    """The value of a JSON file; UserError with the line where it is broken, or has half a character."""
    text = "\n".join(read_lines(path))
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not JSON ({error.msg} at column {error.colno})") from None
    if half := half_character(text):
        line = text.count("\n", 0, half.start()) + 1
        raise UserError(f"{path}:{line}: '{half[1]}' is half a character: mend it or leave it out")
    return value


def _read_delimited(path: Path, header: Sequence[str] | None, tabs: bool, leave_out_short: bool) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)
    quoting: Literal[0, 3] = csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL
    lines = (f"{line}\n" for line in read_lines(path))
    reader = csv.reader(lines, delimiter="\t" if tabs else ",", quoting=quoting)
    names = header
    try:
        for values in reader:
            if names is None:
                names = values
                continue
            if not values or (leave_out_short and len(values) < len(names)):
                continue  # a blank line
            if len(values) < len(names) or (header is None and len(values) > len(names)):
                raise UserError(
                    f"{path}:{reader.line_num}: this row has {len(values)} columns, not the {len(names)} of "
                    f"{'task.files.reader.header' if header else 'the header'}; mend or quote it"
                )
            yield Row(f"{path}:{reader.line_num}", dict(zip(names, values, strict=False)))
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: not a table ({error}): mend its quotes") from None


def _read_json_lines(path: Path) -> Iterator[Row]:
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        yield Row(place, json_object(line, place))


def _read_json(path: Path) -> Iterator[Row]:
    content = load_json(path)
    if not isinstance(content, dict | list):
        raise UserError(f"{path}: must hold a list or an object of rows, not {json.dumps(content)[:40]}")
    rows = content.items() if isinstance(content, dict) else enumerate(content)
    for key, values in rows:
        if not isinstance(values, dict):
            raise UserError(f"{path}: entry {key!r} must be a JSON object with the columns, not {str(values)[:40]!r}")
        yield Row(f"{path}[{key}]", values)


def _read_parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches():
                for values in batch.to_pylist():
                    yield Row(f"{path}[{number}]", values)
                    number += 1
    except pa.ArrowException as error:
        raise UserError(f"{path} is not a Parquet file ({' '.join(str(error).split())})") from None
