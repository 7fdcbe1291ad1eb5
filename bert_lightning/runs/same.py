"""The config that a run was started from, and whether another one means the same run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bert_lightning.errors import UserError
from bert_lightning.runs.environment import note
from bert_lightning.runs.folder import RunFolder
from bert_lightning.runs.reading import read_yaml
from bert_lightning.runs.trust import check_plain

TRAINING_VERBS = ("pretrain", "finetune")  # the verbs that make runs

# How a run is executed. Whatever else an override would change, it would make it another run.
EXECUTION = ("num_workers", "compile", "launch", "restarts", "logger.", "callbacks.", "trainer.devices",
             "trainer.num_nodes", "trainer.accelerator", "trainer.strategy")  # fmt: skip
SHARES = ("batch_size", "trainer.accumulate_grad_batches")  # if their product with the ranks stays what it was

_UPDATE = (*SHARES, "trainer.devices", "trainer.num_nodes")  # their product is the number of examples of an update
_PLACES = ("name", "runs", "job", "data.folder")


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
    theirs, ours = _decisive(before), _decisive(config)
    if apart := _apart(theirs, ours):
        pairs = ", ".join(f"{key} {theirs.get(key)} there and {ours.get(key)} here" for key in apart[:5])
        raise UserError(f"{folder.path} holds another run: {pairs}. Choose another name=..., or delete the folder")


def identity(config: DictConfig) -> dict[str, Any]:
    """Return what makes a run this one and no other, by dotted key. `config` is resolved.

    How the run is executed and where it lies are left out, so that a folder may be moved and renamed.
    """
    return {key: value for key, value in _decisive(config).items() if key not in _PLACES}


def check_identity(path: Path, theirs: Mapping[str, Any] | None, config: DictConfig) -> None:
    """Check that the checkpoint at `path`, which keeps the identity `theirs`, is of the run of `config`.

    A checkpoint of an older version keeps none. It is taken, with a note.

    Raises:
        UserError: if it is of another run; the message names what differs, and both values.
    """
    if theirs is None:
        note(f"{path} does not say of which run it is, for an older version wrote it: it is taken for this run's")
        return
    ours = identity(config)
    if apart := _apart(theirs, ours):
        pairs = ", ".join(f"{key} is {theirs.get(key)} there and {ours.get(key)} in config.yaml" for key in apart[:5])
        raise UserError(f"{path} is of another run: {pairs}. Restore config.yaml, or the checkpoints of this run")


def _decisive(config: DictConfig) -> dict[str, Any]:
    """Return the values that decide what is trained, by dotted key."""
    leaves = dict(_leaves(OmegaConf.to_container(config)))
    decisive = {key: value for key, value in leaves.items() if not _executes(key)}
    factors = [leaves.get(key) for key in _UPDATE if key != "batch_size" or leaves.get("batch_tokens") is None]
    decisive[" * ".join(_UPDATE)] = math.prod(factors) if all(type(value) is int for value in factors) else factors
    return decisive


def _apart(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Return the keys whose values differ. NaN is equal to itself here."""
    return [key for key in {**theirs, **ours} if repr(theirs.get(key)) != repr(ours.get(key))]


def _executes(key: str) -> bool:
    return f"{key}.".startswith((*EXECUTION, "existing.", "origin.")) or key in SHARES


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """What a nested config holds, by dotted key."""
    if not isinstance(value, dict) or not value:
        yield path, value
        return
    for key, child in value.items():
        yield from _leaves(child, f"{path}.{key}".lstrip("."))
