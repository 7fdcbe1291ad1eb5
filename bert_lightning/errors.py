"""Errors that the command line reports in one line, and their exit codes."""


class ExpectedError(Exception):
    """Base class of errors that the program expects. The message is the line that the user reads."""

    trace = ""  # the traceback of an unexpected error in another process, if that is the cause

    @property
    def exit_code(self) -> int:
        return 1


class UserError(ExpectedError):
    """A mistake in the user's input or setup. The message is one line that names the value and the fix. Exit code 2."""

    @property
    def exit_code(self) -> int:
        return 2
