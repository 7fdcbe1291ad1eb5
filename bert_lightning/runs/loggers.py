"""Loggers of a run, made from yaml: each writes into the run's folder."""

from __future__ import annotations

import os
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from bert_lightning.errors import UserError


def csv(folder: Path) -> Logger:
    """`metrics.csv`: a row for every logged step."""
    return CSVLogger(save_dir=folder, name="", version="", flush_logs_every_n_steps=50)


def tensorboard(folder: Path) -> Logger:
    """`tensorboard/`: look with `tensorboard --logdir runs`."""
    return TensorBoardLogger(save_dir=folder, name="", version="tensorboard", default_hp_metric=False)


def wandb(folder: Path, project: str) -> Logger:
    """Weights & Biases. Offline unless WANDB_MODE says otherwise, so that a run never waits for a network.

    Raises:
        UserError: the package is not installed.
    """
    try:
        import wandb as _  # noqa: F401
    except ImportError:
        raise UserError("logger=wandb needs Weights & Biases: pip install 'bert-lightning[wandb]'") from None
    from lightning.pytorch.loggers import WandbLogger

    os.environ.setdefault("WANDB_MODE", "offline")
    return WandbLogger(save_dir=folder, project=project, name=folder.name)


def close(logger: Logger) -> None:
    """End what a logger began. A W&B run left open would swallow the next job of a sweep."""
    if type(logger).__name__ == "WandbLogger":
        import wandb

        wandb.finish()
