"""Report the error that ended a command: one line for the user, an exit code, and a file with a bug's traceback."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from bert_lightning.console.streams import print_to_stderr, reader_has_left
from bert_lightning.errors import ExpectedError, UserError
from bert_lightning.quoting import shortened

DEBUG = "BERT_LIGHTNING_DEBUG"  # environment variable: 1 prints the traceback of every error
_LONGEST = 1500  # most characters of a message
_command: list[str] = []  # the command line as typed; `sys.argv` holds Hydra's arguments while a job runs


def remember_command(command: Sequence[str]) -> None:
    """Keep the command line as the user typed it, for the first line of a traceback's file."""
    _command[:] = command


def report_error(error: BaseException, job: str = "") -> int:
    """Print the error of the command, or of one job of a sweep, in one line. Return the exit code.

    Args:
        error: the error that ended the command or the job.
        job: the job's name; empty outside a sweep.
    """
    if isinstance(error, SystemExit):
        return _report_system_exit(error)
    if os.environ.get(DEBUG, "0") not in ("", "0"):
        with contextlib.suppress(OSError):
            print(_format_traceback(error), end="", file=sys.stderr)
    if isinstance(error, KeyboardInterrupt):
        print_to_stderr("interrupted")
        return 128 + signal.SIGINT
    if isinstance(error, BrokenPipeError) and reader_has_left():
        return 128 + signal.SIGPIPE
    expected = as_expected_error(error)
    where = f"job {job}: " if job else ""
    if expected is None:
        message = f"unexpected {type(error).__name__}: {to_one_line(str(error))}"
        print_to_stderr(f"error: {where}{message}; {_save_traceback(_format_traceback(error))}")
        return 1
    saved = f"; {_save_traceback(expected.trace)}" if expected.trace else ""
    print_to_stderr(f"error: {where}{to_one_line(str(expected))}{saved}")
    return expected.exit_code


def describe_error(error: BaseException) -> str:
    """Return an error in one line, as a record keeps it."""
    expected = as_expected_error(error)
    return to_one_line(str(expected) if expected is not None else f"unexpected {type(error).__name__}: {error}")


def as_expected_error(error: BaseException) -> ExpectedError | None:
    """Return the error as an ExpectedError; None if it is a bug. Errors of Hydra and of the system are expected."""
    if isinstance(error, ExpectedError):
        return error
    if type(error).__module__.partition(".")[0] in ("hydra", "omegaconf"):
        from bert_lightning.console.config_errors import explain_config_error

        return UserError(explain_config_error(error))
    if type(error).__module__.partition(".")[0] == "yaml":
        return UserError(f"a config cannot be read: {error}")
    if isinstance(error, OSError):
        return UserError(describe_os_error(error))
    return None


def describe_os_error(error: OSError) -> str:
    """Return a message that says what the system refused, and for which file."""
    if error.filename is None:
        open_file = f"{error.strerror} (standard output, or a file that is open)"
        return open_file if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else error.strerror or str(error)
    name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename)
    return f"{shortened(name)}: {error.strerror}"


def to_one_line(text: str) -> str:
    """Return a message as one line of printable characters. A very long message is shortened in the middle."""
    line = " ".join(part.strip() for part in text.splitlines() if part.strip())
    return shortened("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line), _LONGEST)


def _report_system_exit(error: SystemExit) -> int:
    """Return the exit code that a SystemExit asks for. Print its message, if it has one."""
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print_to_stderr(f"error: {to_one_line(str(error.code))}")
    return 1


def _format_traceback(error: BaseException) -> str:
    """Return an error's traceback as text."""
    import traceback  # imported here, since only errors need it, and it would slow down every start

    return "".join(traceback.format_exception(error))


def _save_traceback(trace: str) -> str:
    """Write a traceback to a file, and return a phrase for the user with its path."""
    import platform

    command = shlex.join(_command or sys.argv)
    text = f"{command}\nPython {platform.python_version()}, {platform.platform()}\n\n{trace}"
    failed: OSError | None = None
    for folder in (_temporary_folder, _state_folder):
        try:
            return f"the traceback is in {_write_log(folder(), text)}: please report it"
        except (OSError, RuntimeError) as error:  # Python raises RuntimeError if there is no home folder
            failed = error if isinstance(error, OSError) else failed
    why = f" ({failed.strerror})" if failed is not None else ""
    return f"the traceback cannot be written to a file{why}: set {DEBUG}=1 to print it, and please report it"


def _temporary_folder() -> str:
    import tempfile

    return tempfile.gettempdir()


def _state_folder() -> str:
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "bert-lightning"
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _write_log(folder: str, text: str) -> str:
    """Write a text to a new file that only this user can read, and return its path. An error leaves no file."""
    import tempfile

    number, path = tempfile.mkstemp(prefix="bert-lightning-", suffix=".log", dir=folder)
    try:
        file: IO[str]
        with open(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    return path
