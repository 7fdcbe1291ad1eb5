"""Loggers of a run, made from yaml: each writes into the run's folder, and goes on at the step where a run resumes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from bert_lightning.errors import UserError
from bert_lightning.runs.csv_log import CsvLog
from bert_lightning.runs.environment import note


def csv(folder: Path, first_step: int) -> Logger:
    """`metrics.csv`: a row for every logged step."""
    return CsvLog(folder / "metrics.csv", first_step)


def tensorboard(folder: Path, first_step: int) -> Logger:
    """`tensorboard/`: look with `tensorboard --logdir runs`. It hides what is logged again after a resume."""
    return TensorBoardLogger(
        save_dir=folder, name="", version="tensorboard", default_hp_metric=False, purge_step=first_step or None
    )


def wandb(folder: Path, first_step: int, project: str, id: str) -> Logger:
    """Weights & Biases. Offline unless WANDB_MODE says otherwise, so that a run never waits for a network.

    A run that resumes goes on in the W&B run `id`. Steps between the checkpoint and the interruption are then there
    twice, with equal values: W&B cannot take back what was sent.

    Raises:
        UserError: the package is not installed.
    """
    try:
        import wandb as _  # noqa: F401
    except ImportError:
        raise UserError("logger=wandb needs Weights & Biases: pip install 'bert-lightning[wandb]'") from None
    from lightning.pytorch.loggers import WandbLogger

    os.environ.setdefault("WANDB_MODE", "offline")
    return WandbLogger(save_dir=folder, project=project, name=folder.name, id=id, resume="allow")


class Careful(Logger):
    """A logger whose failure costs the log, not the training: it is said once, and the logger is left alone from then.

    Args:
        logger: what may fail.
    """

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self.logger, self.broken = logger, False

    @property
    def name(self) -> str | None:
        return self.logger.name

    @property
    def version(self) -> int | str | None:
        return self.logger.version

    @property
    def save_dir(self) -> str | None:
        return self.logger.save_dir

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        self._do("log_hyperparams", *args, **kwargs)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._do("log_metrics", metrics, step)

    def save(self) -> None:
        self._do("save")

    def finalize(self, status: str) -> None:
        self._do("finalize", status)

    @rank_zero_only
    def close(self) -> None:
        """End what the logger began. A W&B run left open would swallow the next job of a sweep."""
        if type(self.logger).__name__ == "WandbLogger":
            import wandb

            self._try(wandb.finish)

    def _do(self, what: str, *args: Any, **kwargs: Any) -> None:
        if not self.broken:
            self._try(getattr(self.logger, what), *args, **kwargs)

    def _try(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        try:
            call(*args, **kwargs)
        except Exception as error:  # whatever a logger raises
            self.broken = True
            note(f"{type(self.logger).__name__} failed and logs no more: {error}")
