"""Read the JSON that users provide strictly: an error names the position."""

from __future__ import annotations

import json
import re
import reprlib
import sys
from typing import Any

from bert_lightning.errors import UserError


class _RepeatedKey(ValueError):
    """The error for an object with the same key twice. Plain JSON readers silently keep the last value."""


def json_value(text: str, place: str, of_file: bool = False) -> Any:
    """Return the value that a JSON text holds.

    Args:
        text: the JSON text.
        place: position of the text, such as a file name; error messages begin with it.
        of_file: whether the text is a whole file; error messages then add the line number to `place`.

    Raises:
        UserError: if the text is not JSON, an object has a key twice, a string holds half of a surrogate pair, or
            a number or the nesting is too large for Python's parser.
    """

    def at(position: int) -> str:
        return f"{place}:{text.count(chr(10), 0, position) + 1}" if of_file else place

    try:
        value = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise UserError(f"{at(error.pos)}: not JSON ({error.msg} at column {error.colno})") from None
    except _RepeatedKey as error:
        raise UserError(f"{place}: {error}") from None
    except RecursionError:
        raise UserError(f"{place}: lists and objects are nested too deeply to be read: flatten them") from None
    except ValueError:  # an integer has more digits than Python converts
        limit = sys.get_int_max_str_digits()
        number = re.search(rf"\d{{{limit + 1}}}", text)
        where = at(number.start() if number else 0)
        raise UserError(f"{where}: a number has more than {limit} digits: write it as text, or leave it out") from None
    if half := _half_character(text):
        raise UserError(f"{at(half.start())}: '{half[1]}' is half a character: fix it or leave it out")
    return value


def json_object(line: str, place: str) -> dict[str, Any]:
    """Return the object on a line of JSONL.

    Raises:
        UserError: if the line is not valid JSON, as in `json_value`, or holds another value than an object.
    """
    row = json_value(line, place)
    if not isinstance(row, dict):
        raise UserError(f"{place}: a line must be a JSON object, not {line[:40]!r}")
    return row


def described(value: Any) -> str:
    """Return the JSON type of a value and the beginning of the value, for a message."""
    if value is None:
        return "null"
    kinds = {list: "a list", dict: "an object", bool: "a truth value", int: "a number", float: "a number"}
    kind = next((name for type_, name in kinds.items() if isinstance(value, type_)), type(value).__name__)
    return f"{kind}: {reprlib.repr(value)}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RepeatedKey(f"the key {twice!r} stands twice in the object {reprlib.repr(found)}: leave one out")
    return found


# Escapes in valid JSON: a backslash, a surrogate pair (one character), or half of a pair (group 1).
_ESCAPE = re.compile(r"\\\\|\\ud[89ab]..\\ud[c-f]..|(\\ud[89a-f]..)", re.IGNORECASE)


def _half_character(text: str) -> re.Match[str] | None:
    """Return the first escape that is half of a surrogate pair, as group 1. JSON allows it, UTF-8 does not."""
    if "\\ud" not in text.lower():
        return None
    return next((escape for escape in _ESCAPE.finditer(text) if escape[1]), None)
