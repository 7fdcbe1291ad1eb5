"""What goes wrong in the tests: callbacks that a run is given on the command line."""

import os
import signal
import time
from pathlib import Path

from lightning.pytorch.callbacks import Callback


class Fault(Callback):
    """One rank fails when its `step`th update begins.

    Args:
        step: counted from 0.
        rank: which fails.
        how: `error`, or `kill` as the system does when memory is short.
    """

    def __init__(self, step, rank, how):
        self.step, self.rank, self.how = step, rank, how

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step != self.step or trainer.global_rank != self.rank:
            return
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise RuntimeError("the disk of this rank is gone")


class Slow(Callback):
    """One rank takes longer for every batch; each leaves a file with the step at which it ended."""

    def __init__(self, rank, seconds):
        self.rank, self.seconds = rank, seconds

    def on_train_batch_start(self, trainer, *_):
        time.sleep(self.seconds * (trainer.global_rank == self.rank))

    def on_train_end(self, trainer, *_):
        path = Path(trainer.default_root_dir) / f"end-of-rank-{trainer.global_rank}"
        path.write_text(str(trainer.global_step))
