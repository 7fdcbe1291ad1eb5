"""Begin every printed line with the name of the run that printed it, since runs of one study share a console."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO


class LinePrefix:
    """A text stream that writes whole lines to another stream, each behind a prefix.

    A line is one write, so lines of several processes do not mix.
    """

    def __init__(self, stream: IO[str], prefix: str) -> None:
        self._stream, self._prefix, self._begun = stream, prefix, ""

    def write(self, text: str) -> int:
        """Write the lines that are complete, and keep the rest."""
        *lines, self._begun = (self._begun + text).split("\n")
        if shown := [line for line in lines if line.strip()]:
            self._stream.write("".join(f"{self._prefix}{line}\n" for line in shown))
            self._stream.flush()
        return len(text)

    def flush(self) -> None:
        """Do nothing: complete lines are written at once."""

    def close_line(self) -> None:
        """Write a line that was begun."""
        if self._begun:
            self.write("\n")

    def isatty(self) -> bool:
        """Return False, so that no progress bar is drawn."""
        return False

    def fileno(self) -> int:
        """Return the descriptor of the other stream."""
        return self._stream.fileno()


@contextmanager
def prefixed_output(name: str) -> Iterator[None]:
    """Begin each line that is printed in the `with` block with a name."""
    output, errors = sys.stdout, sys.stderr
    streams = LinePrefix(output, f"{name}: "), LinePrefix(errors, f"{name}: ")
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        for stream in streams:
            stream.close_line()
        sys.stdout, sys.stderr = output, errors
