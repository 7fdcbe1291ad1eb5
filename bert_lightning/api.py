"""Train and evaluate from Python, as the command line does, and read a run as plain data.

import bert_lightning

run = bert_lightning.pretrain(["variant=albert", "seed=3", "name=first"])
run.metrics["val/mlm/loss"]
run.load().fill_mask("The film was [MASK].")
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from bert_lightning.compare.curves import read_log
from bert_lightning.console.python_jobs import python_job
from bert_lightning.inference.loaded_model import LoadedModel, load
from bert_lightning.runs.compatibility import read_run_config
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runtime.isolation import isolated
from bert_lightning.verbs import evaluate as evaluation
from bert_lightning.verbs import finetune as finetuning
from bert_lightning.verbs import pretrain as pretraining


class Run:
    """A run, read from its folder. Every value is plain data, and read anew whenever it is asked for.

    Args:
        folder: the folder of the run.

    Raises:
        UserError: if the folder holds no run.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._files = RunFolder(self.folder)
        read_run_config(self._files)

    @property
    def config(self) -> dict[str, Any]:
        """Return the config of the run, with every default and derived value."""
        plain: Any = OmegaConf.to_container(read_run_config(self._files))
        return {str(name): value for name, value in plain.items()}

    @property
    def summary(self) -> dict[str, Any]:
        """Return the content of `summary.json`; empty if the run has not ended."""
        return self._files.read_summary() if self._files.summary.exists() else {}

    @property
    def metrics(self) -> dict[str, float]:
        """Return the last value of every metric, such as `val/mlm/loss`; empty if the run has not ended."""
        return dict(self.summary.get("metrics", {}))

    @property
    def best(self) -> dict[str, Any] | None:
        """Return the metric that chose `best.ckpt` and its best value; None if the run has not ended or has no such.

        It is `{"metric": str, "value": float}`.
        """
        return self.summary.get("best")

    @property
    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Return the points (step, value) of every logged value, such as `train/mlm/loss`, in order."""
        logged = read_log(self.folder / "metrics.csv")
        return {name: [(int(step), value) for step, value in points] for name, points in logged.items()}

    def load(self, device: str | torch.device | None = None, precision: str = "32-true") -> LoadedModel:
        """Return the model of `best.ckpt`, or else of `last.ckpt`, ready to use. The arguments are those of `load`.

        Raises:
            UserError: if the run has no checkpoint yet, or there is no such device or precision.
        """
        return load(self.folder, device, precision)

    def __repr__(self) -> str:
        return f"<Run {self.folder}, {'ended' if self._files.summary.exists() else 'not ended'}>"


def pretrain(
    overrides: Sequence[str] = (), *, config_dir: str | os.PathLike[str] | None = None, progress: bool = True
) -> Run:
    """Pretrain an encoder in this process, as `bert-lightning pretrain` does with the same overrides.

    The weights are the same, bit for bit. Random generators, signal handlers and Hydra's state of this process are
    restored at the end. With several devices, the ranks are processes of their own.

    Args:
        overrides: options and keys as on the command line, such as `["variant=albert", "seed=3"]`.
        config_dir: a folder with yaml files of your own, as the flag `--config-dir` names it.
        progress: whether a progress bar is shown.

    Raises:
        UserError: if a value is wrong. The message names the value and the fix.
    """
    with isolated(), python_job("pretrain", _with_progress(overrides, progress), config_dir) as config:
        folder, _ = pretraining.train(config)
    return Run(folder.path)


def finetune(
    overrides: Sequence[str] = (), *, config_dir: str | os.PathLike[str] | None = None, progress: bool = True
) -> Run:
    """Fine-tune an encoder for a task in this process, as `bert-lightning finetune` does with the same overrides.

    What `pretrain` says holds here, too.

    Args:
        overrides: options and keys as on the command line, such as `["task=sentiment", "encoder=runs/first"]`.
        config_dir: a folder with yaml files of your own, as the flag `--config-dir` names it.
        progress: whether a progress bar is shown.

    Raises:
        UserError: if a value is wrong. The message names the value and the fix.
    """
    with isolated(), python_job("finetune", _with_progress(overrides, progress), config_dir) as config:
        folder, _ = finetuning.train(config)
    return Run(folder.path)


def evaluate(overrides: Sequence[str] = (), *, config_dir: str | os.PathLike[str] | None = None) -> Any:
    """Measure a checkpoint on a split of a task, as `bert-lightning evaluate` does with the same overrides.

    Args:
        overrides: options and keys as on the command line, such as `["run=runs/tuned", "split=test"]`.
        config_dir: a folder with yaml files of your own, as the flag `--config-dir` names it.

    Returns:
        what the command prints, as plain data: `{"run": str, "split": str, "examples": int, "metrics": {name: float},
        ...}`. If `run` or `checkpoints` asks for several checkpoints, a list with an entry for each.

    Raises:
        UserError: if a value is wrong, or a checkpoint cannot be measured.
    """
    with isolated(), python_job("evaluate", overrides, config_dir) as config:
        return evaluation.measure(config)


def _with_progress(overrides: Sequence[str], progress: bool) -> Sequence[str]:
    """Return the overrides of a training without a progress bar, if none is wanted."""
    if progress or isinstance(overrides, str) or any(str(each).startswith("callbacks.progress=") for each in overrides):
        return overrides
    return [*overrides, "callbacks.progress=null"]
