"""Callbacks that make a run fail. The tests add them on the command line."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

from lightning.pytorch.callbacks import Callback


class Fault(Callback):
    """One rank fails when its `step`th update begins, once in a run: it leaves a file, by which it knows.

    Args:
        step: counted from 0.
        rank: which fails.
        how: `error`; `kill` as the system does when memory is short, of the rank or (`worker`) of a process that makes
            its batches; or `infinite`, with a loss that is not a number.
    """

    def __init__(self, step, rank, how):
        self.step, self.rank, self.how = step, rank, how

    def _is_due(self, trainer):
        if (trainer.global_step, trainer.global_rank) != (self.step, self.rank):
            return False
        known = Path(trainer.default_root_dir) / f"fault-{self.step}"
        came = known.exists()
        known.touch()
        return not came

    def on_train_batch_start(self, trainer, *_):
        if self.how == "infinite" or not self._is_due(trainer):
            return
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "worker":
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        if self.how == "error":
            raise RuntimeError("the disk of this rank is gone")

    def on_before_backward(self, trainer, pl_module, loss):
        if self.how == "infinite" and self._is_due(trainer):
            loss.detach().fill_(float("nan"))


class Signals(Callback):
    """This process sends itself signals, one after another.

    Args:
        moment: `training` or `validation`: the batch at whose start they come.
        step: counted from 0.
        names: of the signals.
    """

    def __init__(self, moment, step, names):
        self.moment, self.step, self.names = moment, step, list(names)

    def on_train_batch_start(self, trainer, *_):
        self._send("training", trainer)

    def on_validation_batch_start(self, trainer, *_):
        self._send("validation", trainer)

    def _send(self, moment, trainer):
        if (moment, trainer.global_step) == (self.moment, self.step):
            names, self.names = self.names, []
            for name in names:
                os.kill(os.getpid(), signal.Signals[name])


class Slow(Callback):
    """Every batch takes so much longer, for what has to happen during a run.

    Args:
        seconds: of each batch.
        rank: which is slow; None for all.
    """

    def __init__(self, seconds, rank=None):
        self.seconds, self.rank = seconds, rank

    def on_train_batch_start(self, trainer, *_):
        if self.rank in (None, trainer.global_rank):
            time.sleep(self.seconds)


class End(Callback):
    """Each rank leaves a file with the step at which it ended."""

    def on_train_end(self, trainer, *_):
        path = Path(trainer.default_root_dir) / f"end-of-rank-{trainer.global_rank}"
        path.write_text(str(trainer.global_step))


class Pause(Callback):
    """The first process of the run waits at a moment of its `step`th update, so that it can be killed right there.

    Args:
        moment: training, validation, checkpoint (when the file is written and not yet in its place), or never.
        step: counted from 0, at which it waits; of validation and checkpoint, the updates that were made.
        file: made when the moment has come.
    """

    def __init__(self, moment, step, file):
        self.moment, self.step, self.file = moment, step, Path(file)

    def on_train_batch_start(self, trainer, *_):
        time.sleep(0.05)
        self._wait("training", trainer)

    def on_validation_batch_start(self, trainer, *_):
        self._wait("validation", trainer)

    def on_fit_start(self, trainer, pl_module):
        sync = os.fsync

        def waiting(number):
            self._wait("checkpoint", trainer)
            sync(number)

        os.fsync = waiting

    def _wait(self, moment, trainer):
        if (moment, trainer.global_step, trainer.global_rank) == (self.moment, self.step, 0):
            self.file.touch()
            time.sleep(60)
