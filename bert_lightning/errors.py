"""Errors that the command line says in one line, and the exit code of each."""


class ExpectedError(Exception):
    """An end that the program knows of. Its message is the line that the user reads."""

    trace = ""  # the traceback of another process, where that is what went wrong

    @property
    def exit_code(self) -> int:
        return 1


class UserError(ExpectedError):
    """A mistake of input or setup. Its message is one line that names the value and the fix; exit code 2."""

    @property
    def exit_code(self) -> int:
        return 2
