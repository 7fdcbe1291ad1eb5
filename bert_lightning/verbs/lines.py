"""Lines that somebody wants answered, from a file or from standard input."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from bert_lightning.errors import UserError
from bert_lightning.text.files import read_lines

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Lines:
    """Lines, where they come from, and whether somebody types them."""

    source: str  # for errors
    lines: Iterator[str]
    typed: bool = False


def lines_of(file: str | None) -> Lines:
    """Return the lines of a file; of standard input where it is `-` or none.

    Raises:
        UserError: if there is no such file.
    """
    if file not in (None, STANDARD_INPUT):
        return Lines(f"file={file}", read_lines(existing(Path(file))))
    stream = sys.stdin
    if stream.isatty():
        print("# one text a line; end with Ctrl-D", file=sys.stderr)
    if isinstance(stream, io.TextIOWrapper):
        # A carriage return inside a line does not end it: line i of the output belongs to line i of the input.
        stream.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
    return Lines("standard input", _read(stream), stream.isatty())


def existing(path: Path) -> Path:
    """Return the path; UserError where no file is there."""
    if not path.exists() or path.is_dir():
        raise UserError(f"file={path} " + ("is a folder" if path.is_dir() else "does not exist"))
    return path


def valid(text: str) -> str:
    """Return the text; UserError where it is not UTF-8. Python keeps bytes of another encoding as half characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(f"{ascii(text)[:60]} is not UTF-8: convert it, as by iconv -f latin1 -t utf-8") from None
    return text


def _read(stream: TextIO) -> Iterator[str]:
    try:
        for number, line in enumerate(stream):
            text = line.rstrip("\r\n")
            yield text if number else text.removeprefix("\ufeff")
    except OSError as error:  # as where it was opened for writing
        raise UserError(f"standard input cannot be read ({error.strerror or error})") from None
