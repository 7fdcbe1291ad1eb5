"""Derive the last values of a run's config: its steps, devices and vocabulary size.

This is the only place that writes them. A run is composed, checked and finalized; nothing changes its config later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bert_lightning.budget import Budget
from bert_lightning.config.building import resolved
from bert_lightning.errors import UserError


def finalize(config: DictConfig, derived: Mapping[str, Any]) -> DictConfig:
    """Return a resolved, read-only copy of a config with its derived values.

    Args:
        config: the config as it was composed, or as a run's folder holds it.
        derived: dotted config key -> value. Interpolations that refer to a key get its derived value.
    """
    copy = deepcopy(config)
    OmegaConf.set_readonly(copy, False)
    for key, value in derived.items():
        OmegaConf.update(copy, key, value)
    final = resolved(copy)
    OmegaConf.set_readonly(final, True)
    return final


def trainer_limits(trainer: DictConfig, budget: Budget, interval: int | None = None) -> dict[str, Any]:
    """Return the trainer's maximum of steps by the budget, and its validation interval in batches instead of updates.

    The last update is always validated, whatever the interval.

    Args:
        trainer: the trainer's config.
        budget: the budget of the run.
        interval: number of updates between two validations; None: `trainer.val_check_interval`.

    Raises:
        UserError: if the validation interval is not a whole number of steps, 1 or more.
    """
    interval = trainer.val_check_interval if interval is None else interval
    if not isinstance(interval, int) or interval < 1:
        raise UserError(f"trainer.val_check_interval={interval} must be a number of steps, 1 or more")
    return {
        "trainer.max_steps": -1 if budget.updates is None else budget.updates,
        "trainer.val_check_interval": interval * trainer.accumulate_grad_batches,  # Lightning counts batches
    }


def epoch_steps(config: DictConfig, batches: int, devices: int) -> tuple[int, int]:
    """Return the steps of `epochs`, and a validation interval of one epoch, unless the trainer gives them.

    The interval has to divide the steps. If an epoch does not divide them, the interval is their largest divisor
    between half an epoch and an epoch. If there is none, validation runs only at the end.

    Args:
        config: the config of a fine-tuning.
        batches: number of batches in an epoch, on all ranks together.
        devices: number of devices on each machine.
    """
    trainer = config.trainer
    batches_per_step = trainer.accumulate_grad_batches * devices * trainer.num_nodes
    per_epoch = max(1, math.ceil(batches / max(1, batches_per_step)))
    steps: int | None = trainer.max_steps
    if steps is None:
        if config.epochs <= 0:
            raise UserError(f"epochs={config.epochs} must be above 0")
        steps = max(1, round(config.epochs * per_epoch))
    interval: int | None = trainer.val_check_interval
    if interval is None:
        near = [d for d in range(per_epoch, per_epoch // 2, -1) if steps % d == 0]
        interval = near[0] if near else steps
    return steps, interval
