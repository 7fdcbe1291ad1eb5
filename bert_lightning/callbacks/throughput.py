"""Real tokens per second, as a run trains."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class Throughput(Callback):
    """Logs `train/tokens_per_second`: tokens without padding, over the time since the last log, validation left out."""

    def __init__(self) -> None:
        self.total_tokens = 0
        self._tokens, self._since, self._paused, self._step = 0, 0.0, 0.0, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._tokens, self._since = 0, time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        tokens = batch["num_tokens"] * trainer.world_size
        self.total_tokens += tokens
        self._tokens += tokens
        accumulating, self._step = trainer.global_step == self._step, trainer.global_step
        if accumulating or trainer.global_step % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        now = time.perf_counter()
        pl_module.log("train/tokens_per_second", self._tokens / (now - self._since), prog_bar=True)
        self._tokens, self._since = 0, now

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._paused = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since += time.perf_counter() - self._paused
