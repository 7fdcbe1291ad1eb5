"""Remarks for the user on labelled rows that are unusual but readable. Each remark is one line."""

from __future__ import annotations

import csv
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from bert_lightning.text.files.lines import COMPRESSIONS
from bert_lightning.text.files.rows import Row


def counted(rows: Sequence[Row]) -> str:
    """Return the number of rows and the place of the first row (its file and line), as a text."""
    return f"{len(rows)} row{'s' * (len(rows) > 1)} (the first: {rows[0].where})"


def empty_texts(rows: Sequence[Row], column: str, text: Callable[[Row], str]) -> Iterator[str]:
    """Yield a remark on the rows whose text is empty."""
    if empty := [row for row in rows if not text(row).strip()]:
        yield f"{counted(empty)}: column {column!r} is empty, and read as an empty text"


def spaces_around(rows: Sequence[Row], column: str, value: Callable[[Row], Any]) -> Iterator[str]:
    """Yield a remark on the rows whose label has space around it."""
    if odd := [row for row in rows if isinstance(label := value(row), str) and label != label.strip()]:
        yield f"{counted(odd)}: the label in column {column!r}, {value(odd[0])!r}, is read without the space around it"


def swallowed_rows(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a remark on CSV rows with a quoted value whose lines look like rows, because its quote may not be closed.

    Only values of three lines or more are tested. A shorter one may be a text with a line break.
    """
    if odd := [
        row for row in rows if _is_read_as(row, ".csv") and any(_looks_like_rows(row, v) for v in row.values.values())
    ]:
        yield f"{counted(odd)}: a value in quotes holds lines that look like rows: is its quote closed?"


def _is_read_as(row: Row, *suffixes: str) -> bool:
    """Return whether a row comes from a file with one of these endings, compressed or not."""
    return any(f"{suffix}{packed}:" in row.where for suffix in suffixes for packed in ("", *COMPRESSIONS))


def _looks_like_rows(row: Row, value: str) -> bool:
    inner = value.replace("\r", " ").split("\n")[1:-1] if "\n" in value else []
    return len(row.values) > 1 and bool(inner) and all(len(fields) == len(row.values) for fields in csv.reader(inner))


def quoted_values(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a remark on TSV rows with a value that looks quoted as in CSV. In TSV, quotes are plain text."""
    of_tabs = (row for row in rows if _is_read_as(row, ".tsv", ".txt"))
    if odd := [row for row in of_tabs if any(map(_is_quoted, row.values.values()))]:
        yield f"{counted(odd)}: quotes are text in a file with tabs: write it without them, or as .csv"


def _is_quoted(value: str) -> bool:
    """Return whether a value is in quotes and has quotes inside that are all doubled."""
    inner = value[1:-1]
    return value[:1] == value[-1:] == '"' and '""' in inner and '"' not in inner.replace('""', "")


def alike(labels: Collection[str]) -> list[list[str]]:
    """Return the groups of labels that differ only in case, character width or quotes."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(unicodedata.normalize("NFKC", label).casefold().strip("\"' "), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def one_number(labels: Collection[str]) -> list[str]:
    """Return two labels that are the same number, such as 1 and 1.0; an empty list if there are none."""
    numbers: dict[float, str] = {}
    for label in labels:
        try:
            number = float(label)
        except ValueError:
            continue
        if numbers.setdefault(number, label) != label:
            return [numbers[number], label]
    return []


def in_both(train: Sequence[Row], validation: Sequence[Row]) -> Iterator[str]:
    """Yield a remark on the validation rows that are also training rows."""
    places = Counter(row.where for row in train)
    if both := [row for row in validation if row.where in places]:
        yield f"{counted(both)} of the validation data are training data too: what is measured is no estimate"
