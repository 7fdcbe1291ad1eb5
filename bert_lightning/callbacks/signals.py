"""Signals that ask a run to stop: they set a flag, and nothing else."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from types import FrameType

from bert_lightning.errors import ExpectedError, UserError


class Interrupted(ExpectedError):
    """A run stopped because a signal asked it to. `step`: the update that it saved, None where another process did."""

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


_SAME_PRESS = 2.0  # seconds in which a second SIGINT repeats the first: a launcher passes on what its ranks got already


class SignalFlag:
    """Remember the last of the signals `names` that this process received since `install`; 0 for none.

    The handler only sets `received` and says so. A checkpoint made inside a handler would hold half an update, and a
    collective begun there would meet another one. A second SIGINT, some seconds later, raises KeyboardInterrupt.
    """

    def __init__(self, names: Sequence[str]) -> None:
        if unknown := [name for name in names if name not in signal.Signals.__members__]:
            raise UserError(f"callbacks.checkpoints.signals: {unknown[0]} is not a signal; SIGTERM is one")
        self.numbers = [signal.Signals[name] for name in names]
        self.received = 0
        self._owner, self._since = 0, 0.0

    def install(self) -> None:
        """Listen from now on. A signal that this process was started to ignore, as by nohup, stays ignored."""
        self._owner = os.getpid()
        for number in self.numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._set)

    def _set(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a worker, forked with this handler: it ends as it would have without
            os._exit(128 + number)
        now = time.monotonic()
        if number == self.received == signal.SIGINT and now - self._since > _SAME_PRESS:
            raise KeyboardInterrupt
        if number == signal.SIGINT and not self.received:
            _say("\nnote: stopping after this update, and its validation; press Ctrl-C again to stop at once\n")
        if number != self.received:
            self.received, self._since = number, now


def _say(text: str) -> None:
    """Write past the buffers of sys.stderr, which a handler may have interrupted in the middle of a write."""
    if os.environ.get("RANK", "0") == "0":
        with contextlib.suppress(OSError):
            os.write(2, text.encode())
