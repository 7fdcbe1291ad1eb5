"""Signals that ask a run to stop: they set a flag, and nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from types import FrameType


class Interrupted(Exception):
    """A run saved its state and stopped, because a signal asked it to."""

    def __init__(self, number: int, step: int | None, folder: str) -> None:
        after = "" if step is None else f" after step {step}"
        super().__init__(
            f"stopped by {signal.Signals(number).name}{after}: bert-lightning resume {folder} goes on from there"
        )

    @classmethod
    def said(cls, message: str) -> Interrupted:
        """What another process raised, from its message."""
        error = cls.__new__(cls)
        Exception.__init__(error, message)
        return error

    @property
    def number(self) -> int:
        return signal.Signals[str(self).split()[2].strip(":")]

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells have it."""
        return 128 + self.number


class SignalFlag:
    """The last of `names` that this process received since `install`, 0 for none.

    The handler only sets it. A checkpoint made inside a handler would hold half an update, and a collective begun there
    would meet another one.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.numbers = [signal.Signals[name] for name in names]
        self.received = 0
        self._owner = 0

    def install(self) -> None:
        self._owner = os.getpid()
        for number in self.numbers:
            signal.signal(number, self._set)

    def _set(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() == self._owner:
            self.received = number
        else:  # a worker, forked with this handler: it ends as it would have without
            os._exit(128 + number)
