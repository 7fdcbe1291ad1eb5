"""A guard against losses that are not finite (NaN or infinity): they never change the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from bert_lightning.errors import UserError
from bert_lightning.runtime.collectives import AllRanksError, max_over_ranks


class FiniteLoss(Callback):
    """A callback that cancels an update if the loss of any of its batches, on any rank, is not finite.

    A rank with such a loss saves its batches of the update in the run's folder, as `not-finite-step-N-rank-R.pt`. The
    file is a list that torch.load reads.

    Args:
        action: `stop` ends the run. `skip` continues with the next batch and counts the update
            (`train/skipped_updates`).
    """

    def __init__(self, action: str = "stop") -> None:
        if action not in ("stop", "skip"):
            raise UserError(f"callbacks.finite_loss.{action=} must be stop or skip")
        self.action, self.skipped = action, 0
        self._batches: list[Any] = []  # the batches of the current update
        self._losses: list[Tensor] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._batches.append(batch)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        self._losses.append(loss.detach())

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        batches, losses = self._batches, torch.stack(self._losses)
        self._batches, self._losses = [], []
        mine = not bool(losses.isfinite().all())
        if not max_over_ranks(mine)[0]:
            return
        step = trainer.global_step + 1
        path = Path(trainer.default_root_dir) / f"not-finite-step-{step}-rank-{trainer.global_rank}.pt"
        if mine:
            torch.save(batches, path)
        if self.action == "stop":
            raise AllRanksError(
                f"the loss of update {step} is not finite; its batches are in {path}. Lower optimizer.lr, or go on "
                f"without the update: bert-lightning resume {path.parent} callbacks.finite_loss.action=skip"
            )
        self.skipped += 1
        pl_module.zero_grad(set_to_none=True)  # an optimizer does not change parameters without a gradient
        pl_module.log("train/skipped_updates", float(self.skipped))

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.skipped = state_dict["skipped"]
