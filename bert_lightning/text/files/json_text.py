"""Read the users' JSON strictly. Every error names its position."""

from __future__ import annotations

import json
import re
import reprlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from bert_lightning.errors import UserError

_LONGEST_VALUE = 2**26  # characters; an element of a list must fit into memory
_CUT_OFF = 12  # an error this near to the end of a chunk may come from an element that continues in the next chunk


class _RepeatedKey(ValueError):
    """The error for an object that has a key twice. Other JSON readers keep the last value without an error."""


def json_value(text: str, place: str, of_file: bool = False) -> Any:
    """Return the value of a JSON text.

    Args:
        text: the JSON text.
        place: place of the text, such as a file name; error messages begin with it.
        of_file: whether the text is the content of a file; error messages then add the line number to `place`.

    Raises:
        UserError: if the text is not JSON, an object has a key twice, or a string contains half of a surrogate pair; or
            if a number or the nesting is too large for Python's parser.
    """

    def at(position: int) -> str:
        return f"{place}:{text.count(chr(10), 0, position) + 1}" if of_file else place

    try:
        value = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise _refused(error, text, place, at) from None
    _check_characters(text, at)
    return value


def json_object(line: str, place: str) -> dict[str, Any]:
    """Return the object on a line of JSONL.

    Raises:
        UserError: if the line is not valid JSON, as in `json_value`, or its value is not an object.
    """
    row = json_value(line, place)
    if not isinstance(row, dict):
        fix = "end the file's name with .json" if isinstance(row, list) else "write one object on each line"
        raise UserError(f"{place}: a line must be a JSON object, not {line[:40]!r}: {fix}")
    return row


def list_elements(chunks: Iterator[str], place: str) -> Iterator[Any]:
    """Yield the elements of a JSON list whose text is read in chunks.

    Only a chunk and the longest element must fit into memory, not the list.

    Raises:
        UserError: if the text is not a JSON list, an element is too long, or `json_value` refuses an element.
    """
    reader = _ListReader(chunks, place)
    reader.expect("[")
    if reader.next_character() != "]":
        yield reader.element()
        while reader.next_character() != "]":
            reader.expect(",")
            yield reader.element()
    reader.expect("]")
    if reader.next_character():
        raise reader.refused("something follows the end of the list: leave it out")


class _ListReader:
    """A position in a text that is read in chunks. The text before the position is not kept."""

    def __init__(self, chunks: Iterator[str], place: str) -> None:
        self.chunks, self.place = chunks, place
        self.text, self.position = "", 0  # the text in memory, and the position in it
        self.line, self.column = 1, 0  # number of its first line, and characters of this line before the text
        self.decode = json.JSONDecoder(object_pairs_hook=_object).raw_decode

    def next_character(self) -> str:
        """Skip white space and return the character after it; an empty string at the end of the text."""
        while True:
            while self.position < len(self.text) and self.text[self.position] in " \t\r\n":
                self.position += 1
            if self.position < len(self.text) or not self._read_on():
                return self.text[self.position : self.position + 1]

    def expect(self, character: str) -> None:
        """Skip the given character.

        Raises:
            UserError: if another character follows.
        """
        if (found := self.next_character()) != character:
            there = repr(found) if found else "the end of the file"
            raise self.refused(f"not JSON (expecting {character!r}, found {there}): fix it")
        self.position += 1

    def element(self) -> Any:
        """Return the next element."""
        self.next_character()
        while True:
            try:
                value, end = self.decode(self.text, self.position)
                break
            except (ValueError, RecursionError) as error:
                if not (_may_go_on(error, self.text) and self._read_on()):
                    raise _refused(error, self.text, self._at(self.position), self._at, self.column) from None
        _check_characters(self.text[self.position : end], lambda inside: self._at(self.position + inside))
        self.position = end
        return value

    def refused(self, reason: str) -> UserError:
        """Return the error for the current position."""
        return UserError(f"{self._at(self.position)}: {reason}")

    def _at(self, position: int) -> str:
        return f"{self.place}:{self.line + self.text.count(chr(10), 0, position)}"

    def _read_on(self) -> bool:
        """Read more text, so that the text in memory about doubles. Return whether there was any."""
        if not (chunk := next(self.chunks, "")):
            return False
        self.line += self.text.count("\n", 0, self.position)
        last = self.text.rfind("\n", 0, self.position)
        self.column = self.position - last - 1 + self.column * (last < 0)
        chunks = [self.text[self.position :], chunk]
        self.text, self.position, missing = chunks[0], 0, len(chunks[0]) - len(chunk)
        if len(chunks[0]) > _LONGEST_VALUE:
            raise self.refused(
                f"a row is longer than {_LONGEST_VALUE >> 20} Mi characters, too long for memory: split it"
            )
        while missing > 0 and (chunk := next(self.chunks, "")):
            chunks.append(chunk)
            missing -= len(chunk)
        self.text = "".join(chunks)
        return True


def described(value: Any) -> str:
    """Return the JSON type of a value and the beginning of the value, for a message."""
    if value is None:
        return "null"
    kinds = {
        str: "a text",
        list: "a list",
        dict: "an object",
        bool: "a truth value",
        int: "a number",
        float: "a number",
    }
    kind = next((name for type_, name in kinds.items() if isinstance(value, type_)), type(value).__name__)
    return f"{kind}: {reprlib.repr(value)}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RepeatedKey(f"the key {twice!r} occurs twice in the object {reprlib.repr(found)}: leave one out")
    return found


def _may_go_on(error: Exception, text: str) -> bool:
    """Return whether a parser may have failed only because the text ends too early."""
    return isinstance(error, json.JSONDecodeError) and (
        error.pos >= len(text) - _CUT_OFF or error.msg.startswith("Unterminated string")
    )


def _refused(error: Exception, text: str, place: str, at: Callable[[int], str], column: int = 0) -> UserError:
    """Return the UserError for a text that Python's parser refused.

    Args:
        error: the exception of the parser.
        text: the text.
        place: place of the text.
        at: function that returns the place of a position in the text.
        column: number of characters before the text on its first line.
    """
    if isinstance(error, json.JSONDecodeError):
        column = error.colno + column * (error.lineno == 1)
        return UserError(f"{at(error.pos)}: not JSON ({error.msg.removesuffix(' at')} at column {column}): fix it")
    if isinstance(error, _RepeatedKey):
        return UserError(f"{place}: {error}")
    if isinstance(error, RecursionError):
        return UserError(f"{place}: lists and objects are nested too deeply to be read: flatten them")
    limit = sys.get_int_max_str_digits()  # the remaining case: an integer has more digits than this limit
    number = re.search(rf"\d{{{limit + 1}}}", text)
    where = at(number.start() if number else 0)
    return UserError(f"{where}: a number has more than {limit} digits: write it as text, or leave it out")


# Escapes in valid JSON: a backslash, a surrogate pair (one character), or half of a pair (group 1).
_ESCAPE = re.compile(r"\\\\|\\ud[89ab]..\\ud[c-f]..|(\\ud[89a-f]..)", re.IGNORECASE)


def _check_characters(text: str, at: Callable[[int], str]) -> None:
    """Raise UserError if an escape in a JSON text is half of a surrogate pair. JSON allows this, but UTF-8 does not."""
    if "\\ud" not in text.lower():
        return
    if half := next((escape for escape in _ESCAPE.finditer(text) if escape[1]), None):
        raise UserError(f"{at(half.start())}: '{half[1]}' is half a character: fix it or leave it out")
