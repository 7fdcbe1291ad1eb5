"""Evaluate the encoder during pretraining: at every validation, and at further updates in between.

Early in training the further updates show what validation is too rare for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from bert_lightning.budget import Budget
from bert_lightning.callbacks.pause import training_paused, validation_follows
from bert_lightning.modules.base import EncoderModule


@dataclass(frozen=True)
class EvaluationSchedule:
    """The updates at which an encoder is evaluated in addition to validation.

    Args:
        at: fractions of the budget. The encoder is evaluated after the update that reaches one.
        every_steps: number of updates between two evaluations; None: no evaluations by number of updates.
    """

    at: Sequence[float]
    every_steps: int | None

    def is_due(self, step: int, budget: Budget) -> bool:
        """Return whether the encoder is evaluated after update `step`. This depends on no earlier evaluation."""
        reached = any(budget.before < fraction * budget.total <= budget.spent for fraction in self.at)
        return reached or (self.every_steps is not None and step % self.every_steps == 0)


class ScheduledEvaluation(Callback, ABC):
    """A callback that evaluates the encoder at each validation, and at the further updates of a schedule.

    It changes nothing in training, and its seconds are not training time. Only values from a validation can choose a
    checkpoint or stop the run. Subclasses define `measure` and set `metric_names`.

    Args:
        schedule: the further updates.
    """

    metric_names: list[str]

    def __init__(self, schedule: EvaluationSchedule) -> None:
        self.schedule = schedule
        self._step = 0

    @abstractmethod
    def measure(self, trainer: pl.Trainer, module: EncoderModule) -> dict[str, float]:
        """Return the values by their names in the log, which are `metric_names`, the same ones on every rank.

        Every rank calls this at the same update, with the module in evaluation mode. It may draw random numbers.
        """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._step = trainer.global_step

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, EncoderModule), "pretraining has an encoder"
        pl_module.log_dict(self.measure(trainer, pl_module))

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        if trainer.global_step == self._step:  # an update of several batches is under way
            return
        self._step = trainer.global_step
        assert isinstance(pl_module, EncoderModule), "pretraining has a budget"
        if validation_follows(trainer) or not self.schedule.is_due(self._step, pl_module.budget):
            return
        with training_paused(trainer, pl_module):
            values = self.measure(trainer, pl_module)
        for logger in trainer.loggers:  # at the step of the update's own row
            logger.log_metrics(values, self._step - 1)
