"""Errors that the command line reports in one line, and their exit codes."""

from __future__ import annotations


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


class Pruned(ExpectedError):
    """The end of a run that a search ends early, on all ranks, because other trials are better. It is no failure."""

    def __init__(self, step: int, metric: str, value: float) -> None:
        super().__init__(f"pruned after step {step}: {metric} {value:.5g} is worse than that of other trials")
        self.step, self.metric, self.value = step, metric, value

    @classmethod
    def from_message(cls, message: str) -> Pruned:
        """Rebuild the error of another process from its message."""
        words = message.split()
        return cls(int(words[3].strip(":")), words[4], float(words[5]))

    @property
    def exit_code(self) -> int:
        return 0
