"""Lines of input for `predict`, from a file or from standard input."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from bert_lightning.errors import UserError
from bert_lightning.text.files.lines import read_lines

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Lines:
    """Lines of input, the name of their source, and whether a user types them."""

    source: str  # name for error messages
    lines: Iterator[str]
    typed: bool = False


def lines_of(file: str | None) -> Lines:
    """Return the lines of a file, or of standard input if `file` is `-` or None.

    Raises:
        UserError: if there is no such file.
    """
    if file not in (None, STANDARD_INPUT):
        return Lines(f"file={file}", read_lines(existing(Path(file))))
    stream = sys.stdin
    if stream.isatty():
        print("# type one text per line; end with Ctrl-D", file=sys.stderr)
    if isinstance(stream, io.TextIOWrapper):
        # Only a newline ends a line, not a carriage return: line i of the output belongs to line i of the input.
        stream.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
    return Lines("standard input", _read(stream), stream.isatty())


def existing(path: Path) -> Path:
    """Return the path if a file exists there.

    Raises:
        UserError: if the path does not exist or is a folder.
    """
    if not path.exists() or path.is_dir():
        raise UserError(f"file={path} " + ("is a folder: give a file" if path.is_dir() else "does not exist"))
    return path


def valid(text: str) -> str:
    """Return the text if it is valid UTF-8.

    Raises:
        UserError: if it is not. Python reads the bytes of another encoding as lone surrogates.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{ascii(text)[:60]} is not UTF-8: convert it, for example with iconv -f latin1 -t utf-8"
        ) from None
    return text


def _read(stream: TextIO) -> Iterator[str]:
    try:
        for number, line in enumerate(stream):
            text = line.rstrip("\r\n")
            yield text if number else text.removeprefix("\ufeff")
    except OSError as error:  # for example, it is open only for writing
        raise UserError(f"standard input cannot be read ({error.strerror or error})") from None
