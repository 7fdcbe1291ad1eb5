"""What goes wrong in the tests: callbacks that a run is given on the command line."""

import multiprocessing
import os
import signal
import time

from lightning.pytorch.callbacks import Callback


class Fault(Callback):
    """One rank fails when its `step`th update begins, in the first of its lives.

    Args:
        step: counted from 0.
        rank: which fails.
        how: `error`; `kill` as the system does when memory is short, of the rank or (`worker`) of a process that makes
            its batches; or a loss that is not a number (`nan`).
    """

    def __init__(self, step, rank, how):
        self.step, self.rank, self.how = step, rank, how

    def _is_due(self, trainer):
        first = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
        return first and (trainer.global_step, trainer.global_rank) == (self.step, self.rank)

    def on_train_batch_start(self, trainer, *_):
        if not self._is_due(trainer):
            return
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "worker":
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        if self.how == "error":
            raise RuntimeError("the disk of this rank is gone")

    def on_before_backward(self, trainer, pl_module, loss):
        if self.how == "nan" and self._is_due(trainer):
            loss.detach().fill_(float("nan"))


class Slow(Callback):
    """Every update takes so much longer, for what has to happen during a run.

    Args:
        seconds: of each update.
    """

    def __init__(self, seconds):
        self.seconds = seconds

    def on_train_batch_start(self, *_):
        time.sleep(self.seconds)
