"""Signals that ask a run to stop. Their handler only sets a flag, and the run stops when it is safe."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from bert_lightning.errors import ExpectedError, UserError


class Interrupted(ExpectedError):
    """The error of a run that stopped because of a signal.

    `step` is the update that the run saved; None if another process saved it.
    """

    def __init__(self, number: int, step: int | None, folder: str) -> None:
        after = "" if step is None else f" after step {step}"
        super().__init__(
            f"stopped by {signal.Signals(number).name}{after}: to continue, run bert-lightning resume {folder}"
        )

    @classmethod
    def from_message(cls, message: str) -> Interrupted:
        """Rebuild the error of another process from its message."""
        error = cls.__new__(cls)
        Exception.__init__(error, message)
        return error

    @property
    def number(self) -> int:
        return signal.Signals[str(self).split()[2].strip(":")]

    @property
    def exit_code(self) -> int:
        """Return 128 plus the signal's number, the exit code that shells use."""
        return 128 + self.number


# A second SIGINT within these seconds is ignored: a launcher forwards the one that its ranks already received.
_SAME_PRESS = 2.0


class SignalFlag:
    """A flag that stores the last signal of `names` that this process received after `install`; 0 if there is none.

    The handler only sets `received` and prints a note. It saves nothing, because it may run in the middle of an update
    or of a collective operation. A second SIGINT some seconds later raises KeyboardInterrupt.
    """

    def __init__(self, names: Sequence[str]) -> None:
        if unknown := [name for name in names if name not in signal.Signals.__members__]:
            raise UserError(f"callbacks.checkpoints.signals: {unknown[0]} is not a signal; SIGTERM is one")
        self.numbers = [signal.Signals[name] for name in names]
        self.received = 0
        self._owner, self._since = 0, 0.0

    def install(self) -> None:
        """Install the handlers. A signal that the process ignores from its start, as with nohup, stays ignored.

        Python lets the main thread alone install handlers. A run in another thread of a program leaves signals to it.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        self._owner = os.getpid()
        for number in self.numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._set)

    def _set(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a forked worker inherits the handler, but ends as it would without it
            os._exit(128 + number)
        now = time.monotonic()
        if number == self.received == signal.SIGINT and now - self._since > _SAME_PRESS:
            raise KeyboardInterrupt
        if number == signal.SIGINT and not self.received:
            _say("\nnote: the run stops after this update and its validation; press Ctrl-C again to stop at once\n")
        if number != self.received:
            self.received, self._since = number, now


@contextlib.contextmanager
def restored_handlers() -> Iterator[None]:
    """Restore all signal handlers at the end of the `with` block, so that flags of a run do not outlive it.

    A signal that a flag received, but that no error reported, came after the last moment at which the run could stop.
    It is sent again, to the restored handler.
    """
    numbers = [number for number in signal.Signals if number not in (signal.SIGKILL, signal.SIGSTOP)]
    before = {number: signal.getsignal(number) for number in numbers}
    unanswered = 0
    try:
        yield
        unanswered = max((_received(number) for number in numbers), default=0)
    finally:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)
    if unanswered:
        os.kill(os.getpid(), unanswered)


def _received(number: int) -> int:
    """Return the signal that the flag which handles this signal has received; 0 without such a flag."""
    flag = getattr(signal.getsignal(number), "__self__", None)
    return flag.received if isinstance(flag, SignalFlag) else 0


def _say(text: str) -> None:
    """Write a text to standard error on rank 0, without sys.stderr: the handler may have interrupted a write to it."""
    if os.environ.get("RANK", "0") == "0":
        with contextlib.suppress(OSError):
            os.write(2, text.encode())
