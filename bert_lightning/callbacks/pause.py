"""Pause training for a measurement between two updates, as Lightning's validation does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import LightningModule, Trainer

from bert_lightning.callbacks.budget import BudgetCallback
from bert_lightning.callbacks.exact_resume import ExactResume
from bert_lightning.callbacks.throughput import Throughput

_PAUSING = (ExactResume, BudgetCallback, Throughput)  # they restore the random state, and stop the clocks of training


@contextmanager
def training_paused(trainer: Trainer, module: LightningModule) -> Iterator[None]:
    """Pause training in a `with` block, in the hook `on_train_batch_end`. Every rank must enter it at the same update.

    In the block the module is in evaluation mode, and sharded parameters are gathered. Afterwards modes and random
    state are those from before. The seconds of the block are not training time.
    """
    pausing = [callback for callback in trainer.callbacks if isinstance(callback, _PAUSING)]  # type: ignore[attr-defined]
    modes = [(part, part.training) for part in module.modules()]
    for callback in pausing:
        callback.on_validation_start(trainer, module)
    module.on_validation_start()
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
        module.on_validation_end()
        for callback in pausing:
            callback.on_validation_end(trainer, module)


def validation_follows(trainer: Trainer) -> bool:
    """Return whether a validation follows the current batch. `on_train_batch_end` may ask, after `BudgetCallback`."""
    interval = trainer.val_check_batch
    done = trainer.fit_loop.total_batch_idx + 1
    return bool(trainer.should_stop or (interval and done % interval == 0))
