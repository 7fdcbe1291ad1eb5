"""Read rows from JSON files: one object per line, a list of objects, or an object of objects."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from bert_lightning.errors import UserError
from bert_lightning.text.files.json_text import described, json_object, json_value, list_elements
from bert_lightning.text.files.lines import Part, chunks_of, read_lines, split_at_lines

_LONGEST_OBJECT = 2**28  # characters; an object of rows must fit into memory


def read_json_lines(path: Path, start: int = 0, end: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the object on each line that begins at a byte from `start` up to `end`, with the place of the line.

    Raises:
        UserError: if a line is not a JSON object.
    """
    for number, line in enumerate(read_lines(path, start, end), 1):
        if line.strip():
            place = f"{path}:{number}" + f" (counted from byte {start})" * (start > 0)
            yield place, json_object(line, place)


def read_json_rows(path: Path, start: int = 0, end: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a .json file with their places. The first characters of the file determine its layout.

    `[` begins a list of rows. A file that begins with `{` has one row per line, or is a single object. If all values of
    this object are objects, they are the rows. Otherwise the object is one row. A list may be larger than the memory,
    but a single object may not.

    Args:
        path: the file.
        start: first byte of a file with one row per line.
        end: byte of a file with one row per line at which to stop; None reads all.

    Raises:
        UserError: if the file is not JSON, or an entry is not an object.
    """
    if start or end is not None or _has_lines(path):
        yield from read_json_lines(path, start, end)
        return
    first = _first_character(path)
    if first == "[":
        for number, values in enumerate(list_elements(chunks_of(path), str(path)), 1):
            yield f"{path}, row {number}", _checked(values, f"{path}, row {number}")
    elif first:
        content = load_json(path, _LONGEST_OBJECT)
        if not isinstance(content, dict):
            raise UserError(
                f"{path} must hold rows: a list of JSON objects, or one on each line; not {described(content)}"
            )
        if content and all(isinstance(values, dict) for values in content.values()):
            yield from ((f"{path}, row {name!r}", values) for name, values in content.items())
        else:
            yield f"{path}:1", content


def json_parts(path: Path) -> list[Part]:
    """Return the parts of a .json file: ranges of lines if it has one row per line, otherwise the file as one part."""
    return split_at_lines(path, at_blank_lines=False) if _has_lines(path) else [Part((str(path),))]


def load_json(path: Path, longest: int | None = None) -> Any:
    """Return the value of a JSON file.

    Raises:
        UserError: if the JSON is broken, or has more than `longest` characters; the message names the line.
    """
    lines, size = [], 0
    for line in read_lines(path):
        lines.append(line)
        size += len(line)
        if longest is not None and size > longest:
            raise UserError(
                f"{path} is one object of more than {longest >> 20} Mi characters, too long for memory: write a list "
                "of rows, or one row per line"
            )
    return json_value("\n".join(lines), str(path), of_file=True)


def _first_character(path: Path) -> str:
    return next((text[0] for chunk in chunks_of(path) if (text := chunk.lstrip())), "")


def _has_lines(path: Path) -> bool:
    """Return whether a .json file has one object per line, and two lines or more."""
    if _first_character(path) != "{":
        return False
    _, *others = islice((line.strip() for line in read_lines(path) if line.strip()), 2)
    return bool(others) and others[0].startswith("{")  # in a single object, the second line begins with a key


def _checked(values: Any, place: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise UserError(f"{place} must be a JSON object with the columns, not {described(values)}")
    return values
