"""Progress bars: one for training and one for validation."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar


class Progress(TQDMProgressBar):
    """Lightning's progress bars without the version number, redrawn every ten batches.

    If the number of updates is not known in advance, the training bar shows the fraction of the budget spent.
    """

    def __init__(self) -> None:
        super().__init__(refresh_rate=10)

    @property
    def total_train_batches(self) -> int | float:
        return super().total_train_batches if self.trainer.max_steps > 0 else float("inf")

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        if trainer.max_steps < 0:
            budget: Any = pl_module.budget
            metrics["budget"] = f"{budget.fraction_spent:.1%}"
        return {name.removeprefix("train/"): value for name, value in metrics.items()}
