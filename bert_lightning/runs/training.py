"""One training run, from parts that are built and checked to a finished folder."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, ProgressBar
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from tokenizers import Tokenizer

from bert_lightning.callbacks.throughput import Throughput
from bert_lightning.data.datamodule import StreamDataModule
from bert_lightning.errors import UserError
from bert_lightning.modules.base import EncoderModule
from bert_lightning.runs.environment import git_commit, processor, versions
from bert_lightning.runs.folder import RunFolder
from bert_lightning.runs.loggers import close


def train(
    config: DictConfig,
    verb: str,
    folder: RunFolder,
    tokenizer: Tokenizer,
    module: EncoderModule,
    data: StreamDataModule,
    make_trainer: Callable[..., pl.Trainer],
    callbacks: list[Callback],
    make_loggers: list[Callable[[Path], Logger]],
) -> dict[str, Any]:
    """Fit `module`, and return the summary that was written. `config` must be resolved.

    Raises:
        UserError: trainer, loggers or optimizer refuse a value. Nothing is written before they are made.
    """
    _quieten()
    known = [f"val/{name}" for name in module.validation_metrics.names()]
    if config.monitor.metric not in known:
        raise UserError(f"monitor.metric={config.monitor.metric} is not measured; there are {', '.join(known)}")
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint):
            callback.dirpath = str(folder.checkpoints)
    try:
        module.build_optimizer()
        loggers = [make(folder.path) for make in make_loggers]
        trainer = make_trainer(
            callbacks=callbacks,
            logger=loggers,
            default_root_dir=folder.path,
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
        )
    except (TypeError, ValueError, RuntimeError, MisconfigurationException) as error:
        raise UserError(" ".join(str(error).split())) from None
    folder.create()
    OmegaConf.save(config, folder.config)
    tokenizer.save(str(folder.tokenizer))
    started = time.time()
    try:
        trainer.fit(module, data)
    finally:
        for logger in loggers:
            close(logger)
    summary = _summary(config, verb, trainer, callbacks, started)
    folder.summary.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


def check_steps(trainer: DictConfig) -> None:
    """Make the trainer's config validate at the last step, whatever the interval; and run on one device.

    Raises:
        UserError: no steps, or steps that end between two validations.
    """
    if trainer.max_steps is None or trainer.max_steps < 1:
        raise UserError(f"trainer.max_steps={trainer.max_steps} must be 1 or more")
    if trainer.devices not in (1, "1", "auto") or trainer.get("num_nodes", 1) != 1:
        raise UserError(f"trainer.devices={trainer.devices}: runs on several devices are not built yet; use 1")
    interval = min(trainer.val_check_interval, trainer.max_steps)
    if interval < 1 or trainer.max_steps % interval:
        fits = max(d for d in range(1, trainer.max_steps + 1) if trainer.max_steps % d == 0 and d <= max(1, interval))
        raise UserError(
            f"trainer.max_steps={trainer.max_steps} is not a multiple of trainer.val_check_interval={interval}, so the "
            f"end would not be validated: use trainer.val_check_interval={fits}"
        )
    trainer.val_check_interval = interval * trainer.accumulate_grad_batches  # Lightning counts batches, not updates


def _summary(
    config: DictConfig, verb: str, trainer: pl.Trainer, callbacks: list[Callback], started: float
) -> dict[str, Any]:
    best = next((c for c in callbacks if isinstance(c, ModelCheckpoint) and c.monitor), None)
    throughput = next((c for c in callbacks if isinstance(c, Throughput)), None)
    return {
        "verb": verb,
        "name": config.name,
        "seed": config.seed,
        "steps": trainer.global_step,
        "tokens": None if throughput is None else throughput.total_tokens,
        "throughput": None if throughput is None else throughput.summary(),
        "metrics": {name: value.item() for name, value in sorted(trainer.callback_metrics.items())},
        "best": None if best is None else {"metric": best.monitor, "value": _number(best.best_model_score)},
        "wall_seconds": round(time.time() - started, 2),
        "commit": git_commit(),
        "versions": versions(),
        "processor": processor(),
        "torch_threads": torch.get_num_threads(),
    }


def _number(value: torch.Tensor | None) -> float | None:
    return None if value is None else value.item()


def _quieten() -> None:
    """Leave out what Lightning says about choices that are made here on purpose."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    warnings.filterwarnings("ignore", message="Experiment logs directory .* exists and is not empty")
    warnings.filterwarnings("ignore", message=".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*")
