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
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from tokenizers import Tokenizer

from bert_lightning.callbacks.throughput import Throughput
from bert_lightning.data.datamodule import StreamDataModule
from bert_lightning.modules.base import EncoderModule
from bert_lightning.runs.environment import git_commit, processor, versions
from bert_lightning.runs.folder import RunFolder


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
    """Fit `module`, and return the summary that was written. `config` must be resolved."""
    folder.create()
    OmegaConf.save(config, folder.config)
    tokenizer.save(str(folder.tokenizer))
    _quieten()
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint):
            callback.dirpath = str(folder.checkpoints)
    trainer = make_trainer(
        callbacks=callbacks,
        logger=[make(folder.path) for make in make_loggers],
        default_root_dir=folder.path,
        enable_progress_bar=any(isinstance(callback, pl.callbacks.ProgressBar) for callback in callbacks),
    )
    started = time.time()
    trainer.fit(module, data)
    summary = _summary(config, verb, trainer, callbacks, started)
    folder.summary.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


def _summary(
    config: DictConfig, verb: str, trainer: pl.Trainer, callbacks: list[Callback], started: float
) -> dict[str, Any]:
    best = next((c for c in callbacks if isinstance(c, ModelCheckpoint)), None)
    tokens = next((c.total_tokens for c in callbacks if isinstance(c, Throughput)), None)
    return {
        "verb": verb,
        "name": config.name,
        "seed": config.seed,
        "steps": trainer.global_step,
        "tokens": tokens,
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
