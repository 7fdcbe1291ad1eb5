"""Read the config that a run was started from, and check that another config or a checkpoint belongs to this run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bert_lightning.errors import UserError
from bert_lightning.renames import translated
from bert_lightning.runs.run_files import read_yaml
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.run_records import flatten
from bert_lightning.runs.trust import check_no_interpolations
from bert_lightning.runtime.environment import note

TRAINING_VERBS = ("pretrain", "finetune")  # the verbs that create runs

# Keys that say how a run is executed and measured. They may change when a run resumes; any other change would make
# another run.
EXECUTION_KEYS = ("num_workers", "compile", "launch", "restarts", "measure_words", "evaluations.", "logger.",
                  "callbacks.", "trainer.devices", "trainer.num_nodes", "trainer.accelerator",
                  "trainer.strategy")  # fmt: skip
# Keys that may also change when a run resumes, as long as their product with the number of ranks stays equal.
BATCH_SHARE_KEYS = ("batch_size", "trainer.accumulate_grad_batches")

# Keys whose product is the number of examples in an update.
_UPDATE = (*BATCH_SHARE_KEYS, "trainer.devices", "trainer.num_nodes")
# Values that choose the same as null, by a pattern of their keys: defaults of older versions that are null today, and
# defaults of today whose keys older versions did not have.
_LIKE_NULL = {"objective.terms.*.student_head": "mlm", "vocabulary.extend": 0, "extend_positions": "tile"}
_PLACES = ("name", "runs", "job", "data.folder")  # keys that say where a run and its data lie


def read_run_config(folder: RunFolder) -> DictConfig:
    """Return the config that a run was started from. Names of older versions are translated to those of today.

    Raises:
        UserError: if there is no run in the folder, or its config is damaged or not the config of a run.
    """
    if not folder.config.exists():
        raise UserError(f"{folder.path} is not a run's folder: it has no config.yaml")
    config = read_yaml(folder.config)
    if (verb := config.get("verb")) not in TRAINING_VERBS:
        raise UserError(
            f"{folder.config} is not the config of a run: verb is {verb!r}, not {' or '.join(TRAINING_VERBS)}"
        )
    check_no_interpolations(config, folder.config)
    today: DictConfig = OmegaConf.create(translated(OmegaConf.to_container(config)))
    return today


def check_same_run(folder: RunFolder, before: DictConfig, config: DictConfig) -> None:
    """Check that a config asks for the run that a folder holds already.

    Args:
        folder: the run's folder.
        before: the config that this run was started from, resolved.
        config: the config in question, resolved.

    Raises:
        UserError: if the config asks for another run; the message names what differs, and both values.
    """
    if apart := differing_keys(before, config):
        pairs = ", ".join(f"{key} is {theirs} there and {ours} now" for key, (theirs, ours) in list(apart.items())[:5])
        raise UserError(f"{folder.path} holds another run: {pairs}. Choose another name=..., or delete the folder")


def differing_keys(
    before: DictConfig | Mapping[str, Any], config: DictConfig | Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Return the keys that decide what is trained and differ between two resolved configs, with both values."""
    theirs, ours = _normalized(_decisive(before)), _normalized(_decisive(config))
    return {key: (theirs.get(key), ours.get(key)) for key in _apart(theirs, ours)}


def run_identity(config: DictConfig) -> dict[str, Any]:
    """Return the identity of a run: the values that decide what it trains, by dotted key.

    Keys that say how the run is executed or where it lies are left out. So a folder may be moved and renamed.

    Args:
        config: the run's config, resolved.
    """
    return {key: value for key, value in _decisive(config).items() if key not in _PLACES}


def check_checkpoint_identity(path: Path, theirs: Mapping[str, Any] | None, config: DictConfig) -> None:
    """Check that a checkpoint belongs to the run of a config.

    Args:
        path: the checkpoint's file, for the message.
        theirs: the identity that the checkpoint stores. None: an older version wrote it; it passes, with a note.
        config: the run's config, resolved.

    Raises:
        UserError: if the checkpoint belongs to another run; the message names what differs, and both values.
    """
    if theirs is None:
        note(f"{path} was written by an older version and does not name its run: it is assumed to belong to this run")
        return
    theirs, ours = {key: value for key, value in translated(theirs).items() if not _executes(key)}, run_identity(config)
    if apart := _apart(theirs, ours):
        pairs = ", ".join(f"{key} is {theirs.get(key)} in it and {ours.get(key)} in config.yaml" for key in apart[:5])
        raise UserError(f"{path} belongs to another run: {pairs}. Restore config.yaml, or the checkpoints of this run")


def _decisive(config: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a config that decide what is trained, by dotted key.

    The factors of the number of examples per update are replaced by their product.
    """
    leaves = dict(flatten(OmegaConf.to_container(config) if isinstance(config, DictConfig) else config))
    decisive = {key: value for key, value in leaves.items() if not _executes(key)}
    factors = [leaves.get(key) for key in _UPDATE if key != "batch_size" or leaves.get("batch_tokens") is None]
    decisive[" * ".join(_UPDATE)] = math.prod(factors) if all(type(value) is int for value in factors) else factors
    return decisive


def _normalized(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values, with null for each value that chooses the same as null."""
    return {
        key: None if any(fnmatchcase(key, pattern) and value == same for pattern, same in _LIKE_NULL.items()) else value
        for key, value in values.items()
    }


def _apart(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Return the keys whose values differ. NaN counts as equal to NaN."""
    return [key for key in {**theirs, **ours} if repr(theirs.get(key)) != repr(ours.get(key))]


def _executes(key: str) -> bool:
    """Return whether a dotted key says how a run is executed or where it comes from, rather than what it trains."""
    return f"{key}.".startswith((*EXECUTION_KEYS, "existing.", "origin.", "published.")) or key in BATCH_SHARE_KEYS
