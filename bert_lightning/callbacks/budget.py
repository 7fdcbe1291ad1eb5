"""The callback that charges every update to the run's budget, and ends the run when the budget is spent."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from bert_lightning.budget import Budget
from bert_lightning.callbacks.throughput import Throughput
from bert_lightning.runtime.collectives import max_over_ranks, sum_over_ranks


class BudgetCallback(Callback):
    """A callback that charges each update to the budget, before the update, because the learning rate depends on it.

    All ranks charge the same amount, so they stop after the same update. That update is still validated and saved. A
    checkpoint stores the amount spent. This class is the budget's `Meter`.
    """

    def __init__(self, budget: Budget, throughput: Throughput | None) -> None:
        self.budget, self.throughput = budget, throughput
        self._finished = 0  # amount spent by finished updates; a failed update is not included and will be repeated
        self._tokens = 0  # tokens on this rank since the last update
        # `_seconds`: training time since the last update, up to the last pause. `_since`: when that pause ended.
        self._seconds = self._since = 0.0

    def tokens(self) -> int:
        return sum_over_ranks(self._tokens)[0]

    def flops(self) -> int:
        rate = None if self.throughput is None else self.throughput.flops_per_token
        assert rate is not None, "counted on the first batch"
        return round(rate * self.tokens())

    def microseconds(self) -> int:
        return max_over_ranks(round(1e6 * (self._seconds + self._clock() - self._since)))[0]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = self._clock()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._tokens += batch["num_tokens"]

    def on_before_optimizer_step(self, *_: Any) -> None:
        self.budget.charge(self)
        self._tokens, self._seconds, self._since = 0, 0.0, self._clock()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self._finished = self.budget.spent
        if self.budget.exhausted:
            trainer.should_stop = True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seconds += self._clock() - self._since

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = self._clock()

    def state_dict(self) -> dict[str, Any]:
        return {"spent": self._finished}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.budget.spent = self._finished = state_dict["spent"]

    def _clock(self) -> float:
        return time.monotonic()
