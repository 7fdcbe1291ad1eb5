"""Runs from their configs: new ones, and those whose folder exists. Every verb that trains goes through here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from bert_lightning.runs.folder import RunFolder
from bert_lightning.runs.launch import launch_here, launch_srun
from bert_lightning.runs.ranks import devices, is_rank
from bert_lightning.runs.training import Parts, Session
from bert_lightning.verbs.common import build, build_values, run_folder

PartsOf = Callable[[DictConfig], Parts]


def start(config: DictConfig, parts_of: PartsOf) -> tuple[RunFolder, dict[str, Any]]:
    """Begin a run. `config` is resolved. Everything that can be wrong is found before the run's folder is made."""
    folder = run_folder(config)
    config.trainer.devices = devices(config.trainer)
    ready = session(config, folder, parts_of)
    ready.write()
    if config.launch == "none":
        return folder, {}
    if _ranks(config) == 1 and config.launch == "auto":
        with folder.held():
            ready.train()
    else:
        del ready  # this process only waits
        launch(config, folder)
    return folder, folder.read_summary()


def session(config: DictConfig, folder: RunFolder, parts_of: PartsOf, checkpoint: Path | None = None) -> Session:
    """The run, built in this process."""
    return Session.build(
        config, folder, parts_of(config),
        build(config.trainer), build_values(config.callbacks), build_values(config.logger), checkpoint,
    )  # fmt: skip


def launch(config: DictConfig, folder: RunFolder, overrides: Sequence[str] = ()) -> None:
    """Start the ranks of a run whose folder is written, and wait for them."""
    if config.launch == "srun":
        launch_srun(folder.path, overrides, config.trainer.devices, config.trainer.num_nodes)
    else:
        launch_here(folder.path, overrides, config.trainer.devices)


def runs_here(config: DictConfig) -> bool:
    """Whether this process trains: as the only rank, or as one that was started to."""
    return is_rank() or (_ranks(config) == 1 and config.launch != "srun")


def _ranks(config: DictConfig) -> int:
    number: int = config.trainer.devices * config.trainer.num_nodes
    return number
