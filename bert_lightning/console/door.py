"""The outermost handler of errors: it prints one line, returns the exit code and writes a bug's traceback to a file."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import shlex
import signal
import sys
from pathlib import Path
from typing import IO

from bert_lightning.errors import ExpectedError, UserError
from bert_lightning.quoting import shortened

_typed: list[str] = []  # the command line as typed; `sys.argv` holds Hydra's arguments while a job runs
DEBUG = "BERT_LIGHTNING_DEBUG"  # environment variable: 1 prints the traceback of every error
_LONGEST = 1500  # most characters of a message


def open_streams() -> None:
    """Open the null device for each standard stream that is closed. Otherwise the next file would get its number.

    Also let standard output print characters that its encoding lacks, as escapes.

    Raises:
        UserError: if the working directory was deleted.
    """
    _typed[:] = sys.argv
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


def flush(code: int) -> int:
    """Flush standard output and return the exit code: `code`, unless the disk is full or the reader has left."""
    try:
        sys.stdout.flush()
    except OSError as error:
        nobody_reads = isinstance(error, BrokenPipeError) and _nobody_reads()
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python reports the error again at exit
        if nobody_reads:
            return code or 128 + signal.SIGPIPE
        if not code:
            say(f"error: standard output: {error.strerror}")
        return code or 2
    return code


def end(error: BaseException, job: str = "") -> int:
    """Print the error that ended the command, or one job of a sweep, in one line, and return the exit code.

    Args:
        error: the error that ended the command or the job.
        job: the job's name; empty outside a sweep.
    """
    if isinstance(error, SystemExit):
        return _of_system_exit(error)
    if os.environ.get(DEBUG, "0") not in ("", "0"):
        with contextlib.suppress(OSError):
            print(_trace(error), end="", file=sys.stderr)
    if isinstance(error, KeyboardInterrupt):
        say("interrupted")
        return 128 + signal.SIGINT
    if isinstance(error, BrokenPipeError) and _nobody_reads():
        return 128 + signal.SIGPIPE
    known = expected(error)
    of_job = f"job {job}: " if job else ""
    if known is None:
        say(f"error: {of_job}unexpected {type(error).__name__}: {one_line(str(error))}; {_report(_trace(error))}")
        return 1
    report = f"; {_report(known.trace)}" if known.trace else ""
    say(f"error: {of_job}{one_line(str(known))}{report}")
    return known.exit_code


def expected(error: BaseException) -> ExpectedError | None:
    """Return the error as an expected one, None if it is unexpected. Errors of Hydra and of the system are expected."""
    if isinstance(error, ExpectedError):
        return error
    if type(error).__module__.partition(".")[0] in ("hydra", "omegaconf"):
        from bert_lightning.console.explain import explain

        return UserError(explain(error))
    if type(error).__module__.partition(".")[0] == "yaml":
        return UserError(f"a config cannot be read: {error}")
    if isinstance(error, OSError):
        return UserError(reason(error))
    return None


def reason(error: OSError) -> str:
    """Return a message that says what the system refused, and for which file."""
    if error.filename is None:
        open_file = f"{error.strerror} (standard output, or a file that is open)"
        return open_file if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else error.strerror or str(error)
    name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename)
    return f"{shortened(name)}: {error.strerror}"


def one_line(text: str) -> str:
    """Return a message as one line of printable characters. A very long message is shortened in the middle."""
    line = " ".join(part.strip() for part in text.splitlines() if part.strip())
    return shortened("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line), _LONGEST)


def say(line: str) -> None:
    """Print a line on standard error. If that is not possible, do nothing."""
    with contextlib.suppress(OSError, ValueError):
        print(f"bert-lightning: {line}", file=sys.stderr, flush=True)


def _of_system_exit(error: SystemExit) -> int:
    """Return the exit code that a SystemExit asks for. Print its message, if it has one."""
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    say(f"error: {one_line(str(error.code))}")
    return 1


def _nobody_reads() -> bool:
    """Return whether the reader of standard output has closed the pipe, as `head` does."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return bool(poll.poll(0))  # no event was asked for, so only errors are reported


def _trace(error: BaseException) -> str:
    import traceback  # imported here, since only errors need it, and it would slow down every start

    return "".join(traceback.format_exception(error))


def _report(trace: str) -> str:
    """Write a traceback to a file, and return the words that tell the user where it is."""
    import platform

    text = f"{shlex.join(_typed or sys.argv)}\nPython {platform.python_version()}, {platform.platform()}\n\n{trace}"
    failed: OSError | None = None
    for folder in (_temporary_folder, _state_folder):
        try:
            return f"the traceback is in {_written(folder(), text)}: please report it"
        except (OSError, RuntimeError) as error:  # Python raises RuntimeError if there is no home folder
            failed = error if isinstance(error, OSError) else failed
    why = f" ({failed.strerror})" if failed is not None else ""
    return f"the traceback cannot be written to a file{why}, {DEBUG}=1 prints it: please report it"


def _temporary_folder() -> str:
    import tempfile

    return tempfile.gettempdir()


def _state_folder() -> str:
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "bert-lightning"
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _written(folder: str, text: str) -> str:
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
