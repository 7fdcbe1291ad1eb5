"""Exact resumption: checkpoints with the state that Lightning leaves out.

A resumed run draws, reads and logs what the uninterrupted run would have.
"""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from bert_lightning.runtime.collectives import gathered
from bert_lightning.runtime.random_state import capture, restore

_RANDOM = "random_states"  # key of a checkpoint that holds the random state of each rank


@dataclass(frozen=True)
class Boundary:
    """The state at the end of an update: everything that updates change, except weights and optimizer."""

    step: int
    loops: dict[str, Any]
    data: dict[str, Any]
    random: dict[str, Any]


class Exact(Callback):
    """A callback that keeps the state of the last finished update, and puts it into every checkpoint.

    Lightning alone saves no random state. It counts a batch that was fetched but not trained on, and skips a validation
    that was due at the saved step. With this callback a checkpoint is complete if it is written after an update, its
    logs and its validation, and before the next update. Validation does not change the random state of training.
    """

    def __init__(self) -> None:
        self.boundary: Boundary | None = None
        self.metrics: dict[str, float] = {}
        self.seconds = 0.0  # total time of all processes that trained this run, one after another
        self._since = time.monotonic()
        self._stopped = False
        self._restored: list[dict[str, Any]] | None = None
        self._before_validation: dict[str, Any] | None = None
        self._step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._step = trainer.global_step
        states, self._restored = self._restored, None
        if states is not None and len(states) == trainer.world_size:
            restore(states[trainer.global_rank])
        elif states is not None or trainer.global_rank:  # the number of ranks changed, or all ranks began with one seed
            torch.manual_seed(_mixed(torch.initial_seed(), trainer.global_step, trainer.global_rank))

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self._step:  # an update of several batches is under way
            return
        self._step = trainer.global_step
        data = trainer.datamodule.state_dict()  # type: ignore[attr-defined]
        self.boundary = Boundary(self._step, deepcopy(trainer.fit_loop.state_dict()), data, capture())

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._before_validation = capture()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._before_validation is not None:
            restore(self._before_validation)
            self._before_validation = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self.boundary is None:
            return
        checkpoint["loops"]["fit_loop"] = self.boundary.loops
        checkpoint[type(trainer.datamodule).__qualname__] = self.boundary.data  # type: ignore[attr-defined]
        checkpoint[_RANDOM] = gathered(self.boundary.random)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._restored = checkpoint.get(_RANDOM)

    def state_dict(self) -> dict[str, Any]:
        return {"metrics": self.metrics, "seconds": self.seconds, "stopped": self._stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.metrics, self._stopped = state_dict["metrics"], state_dict["stopped"]
        self.seconds = state_dict["seconds"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = self._stopped  # True if early stopping ended the run: only its summary is left to write

    def remember(self, trainer: Trainer) -> None:
        """Store the metrics, the time and early stopping, which the summary needs and Lightning does not save.

        It is called before each checkpoint, and at the end of the run.
        """
        self.metrics.update({name: float(value) for name, value in trainer.callback_metrics.items()})
        self._stopped = trainer.should_stop
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now


def _mixed(*values: int) -> int:
    """Return one seed that depends on all of several numbers."""
    seed = 0
    for value in values:
        seed = (seed * 6364136223846793005 + value + 1442695040888963407) % 2**63
    return seed
