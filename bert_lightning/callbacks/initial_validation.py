"""Validate before the first update, so that a run that starts from pretrained weights shows what they could do."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback


class InitialValidation(Callback):
    """A callback that validates once before the first update. It must stand after the other callbacks.

    The values are logged at step 0 like those of any validation, and kept for `summary.json`. Training has the same
    bits as without. The values choose no checkpoint, because Lightning saves none before the first update. Early
    stopping counts them: a run that never becomes better than it began is stopped.
    """

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step:
            return
        trainer.validating = True  # as Lightning's training loop does it after an update
        trainer.fit_loop.epoch_loop.val_loop.run()
        trainer.training = True
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.metrics = {name: value for name, value in values.items() if name.startswith("val/")}

    def state_dict(self) -> dict[str, Any]:
        return {"metrics": self.metrics}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.metrics = state_dict["metrics"]
