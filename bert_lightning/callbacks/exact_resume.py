"""Exact resumption: checkpoints with the state that Lightning leaves out.

A resumed run has the random numbers, the batches and the logs that it would have had without the interruption.
"""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from bert_lightning.errors import UserError
from bert_lightning.runtime.collectives import gather_over_ranks
from bert_lightning.runtime.random_state import capture_random_state, restore_random_state

# Keys of a checkpoint: the random state of each rank, and the state of the training data.
_RANDOM, _DATA = "random_states", "data"
# The key of checkpoints from before `_DATA`: Lightning's, the name of the data module's class (`renames.STATES`).
_FORMER_DATA = "StreamDataModule"


@dataclass(frozen=True)
class UpdateState:
    """The state at the end of an update, except weights and optimizer."""

    step: int
    loops: dict[str, Any]
    data: dict[str, Any]
    random: dict[str, Any]


class ExactResume(Callback):
    """A callback that captures the state after each update, and puts it into every checkpoint.

    Lightning saves no random state. It also counts batches that are fetched but not trained on, and skips a validation
    that is due at the saved step. With this callback, a checkpoint is complete if it is written after the logs and the
    validation of an update and before the next update. Validation does not change the random state of training.
    """

    def __init__(self) -> None:
        self.last_update: UpdateState | None = None
        self.metrics: dict[str, float] = {}
        self.seconds = 0.0  # training time of this run, including the time before it was resumed
        self._since = time.monotonic()
        self._stopped = False
        self._restored: list[dict[str, Any]] | None = None
        self._before_validation: dict[str, Any] | None = None
        self._step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._step = trainer.global_step
        states, self._restored = self._restored, None
        if states is not None and len(states) == trainer.world_size:
            restore_random_state(states[trainer.global_rank])
        elif states is not None or trainer.global_rank:  # the number of ranks changed, or all ranks began with one seed
            torch.manual_seed(_mixed(torch.initial_seed(), trainer.global_step, trainer.global_rank))

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self._step:  # an update of several batches is under way
            return
        self._step = trainer.global_step
        data = trainer.datamodule.state_dict()  # type: ignore[attr-defined]
        loops = deepcopy(trainer.fit_loop.state_dict())
        self.last_update = UpdateState(self._step, loops, data, capture_random_state())

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._before_validation = capture_random_state()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._before_validation is not None:
            restore_random_state(self._before_validation)
            self._before_validation = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        now = checkpoint.pop(type(trainer.datamodule).__qualname__, None)  # type: ignore[attr-defined]
        if self.last_update is None:
            checkpoint[_DATA] = now
            return
        checkpoint["loops"]["fit_loop"] = self.last_update.loops
        checkpoint[_DATA] = self.last_update.data
        checkpoint[_RANDOM] = gather_over_ranks(self.last_update.random)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._restored = checkpoint.get(_RANDOM)
        data = checkpoint.get(_DATA, checkpoint.get(_FORMER_DATA))
        if data is None:
            raise UserError("the checkpoint has no state of the training data, so a run cannot resume from it")
        trainer.datamodule.load_state_dict(data)  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, Any]:
        return {"metrics": self.metrics, "seconds": self.seconds, "stopped": self._stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.metrics, self._stopped = state_dict["metrics"], state_dict["stopped"]
        self.seconds = state_dict["seconds"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = self._stopped  # True if early stopping ended the run: only its summary is left to write

    def record_summary(self, trainer: Trainer) -> None:
        """Store what the summary needs and Lightning does not save: metrics, time, and whether early stopping ended it.

        The method is called before each checkpoint and at the end of the run.
        """
        self.metrics.update({name: float(value) for name, value in trainer.callback_metrics.items()})
        self._stopped = trainer.should_stop
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now


def _mixed(*values: int) -> int:
    """Return one seed that depends on all `values`."""
    seed = 0
    for value in values:
        seed = (seed * 6364136223846793005 + value + 1442695040888963407) % 2**63
    return seed
