"""Standard input, output and error: open them if they are closed, and handle a full disk or a closed pipe."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys

from bert_lightning.errors import UserError


def repair_standard_streams() -> None:
    """Open the null device for each standard stream that is closed. Otherwise the next file would get its number.

    Also let standard output print characters that its encoding lacks, as escapes.

    Raises:
        UserError: if the working directory was deleted.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the system gives it the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    if getattr(sys.stdout, "errors", None) == "strict" and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        os.getcwd()
    except OSError:
        raise UserError("the working directory was deleted: cd to one that exists") from None


def flush_standard_output(code: int) -> int:
    """Flush standard output and return the exit code: `code`, unless the disk is full or the reader has left."""
    try:
        sys.stdout.flush()
    except OSError as error:
        reader_left = isinstance(error, BrokenPipeError) and reader_has_left()
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python reports the error again at exit
        if reader_left:
            return code or 128 + signal.SIGPIPE
        if not code:
            print_to_stderr(f"error: standard output: {error.strerror}")
        return code or 2
    return code


def reader_has_left() -> bool:
    """Return whether the reader of standard output has closed the pipe, as `head` does."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return bool(poll.poll(0))  # no event was asked for, so only errors are reported


def print_to_stderr(line: str) -> None:
    """Print a line on standard error. If that is not possible, do nothing."""
    with contextlib.suppress(OSError, ValueError):
        print(f"bert-lightning: {line}", file=sys.stderr, flush=True)
