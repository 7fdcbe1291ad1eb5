"""The config that a run was started from, and whether another one means the same run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bert_lightning.errors import UserError
from bert_lightning.runs.folder import RunFolder
from bert_lightning.runs.reading import read_yaml
from bert_lightning.runs.trust import check_plain

TRAINING_VERBS = ("pretrain", "finetune")  # the verbs that make runs

# How a run is executed. Whatever else an override would change, it would make it another run.
EXECUTION = ("num_workers", "compile", "launch", "restarts", "logger.", "callbacks.", "trainer.devices",
             "trainer.num_nodes", "trainer.accelerator", "trainer.strategy")  # fmt: skip
SHARES = ("batch_size", "trainer.accumulate_grad_batches")  # if their product with the ranks stays what it was


def read_config(folder: RunFolder) -> DictConfig:
    """Return the config that a run was started from. Every verb that needs a run's config reads it here.

    Raises:
        UserError: if there is no run, or its config is damaged or of something else.
    """
    if not folder.config.exists():
        raise UserError(f"no run at {folder.path}: it has no config.yaml")
    config = read_yaml(folder.config)
    if (verb := config.get("verb")) not in TRAINING_VERBS:
        raise UserError(
            f"{folder.config} is not the config of a run: verb is {verb!r}, not {' or '.join(TRAINING_VERBS)}"
        )
    check_plain(config, folder.config)
    return config


def check_same_run(folder: RunFolder, before: DictConfig, config: DictConfig) -> None:
    """Whether `config` asks for the run that `folder` holds, which was started from `before`. Both are resolved.

    Raises:
        UserError: it asks for another; the message says in what they differ.
    """
    theirs, ours = (dict(_leaves(OmegaConf.to_container(each))) for each in (before, config))
    apart = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key) and not _executes(key)]
    if apart:
        pairs = ", ".join(f"{key} {theirs.get(key)} there and {ours.get(key)} here" for key in apart[:5])
        raise UserError(f"{folder.path} holds another run: {pairs}. Choose another name=..., or delete the folder")


def _executes(key: str) -> bool:
    return f"{key}.".startswith((*EXECUTION, "existing.", "origin.")) or key in SHARES


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """What a nested config holds, by dotted key."""
    if not isinstance(value, dict) or not value:
        yield path, value
        return
    for key, child in value.items():
        yield from _leaves(child, f"{path}.{key}".lstrip("."))
