"""Build objects from a composed config, with errors that a user can read."""

from __future__ import annotations

from typing import Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from bert_lightning.errors import UserError
from bert_lightning.runs.run_folder import RunFolder


def build(node: DictConfig, *arguments: Any, **extra: Any) -> Any:
    """Build the object that a node's `_target_` names.

    Raises:
        UserError: if the target refuses a value. The message names the node, unless the target raised a UserError.
    """
    try:
        return hydra.utils.instantiate(node, *arguments, _convert_="object", **extra)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        if isinstance(cause, (TypeError, ValueError, RuntimeError)):
            raise UserError(f"{node._get_full_key(None)}: {cause}") from None
        raise


def build_values(group: DictConfig) -> list[Any]:
    """Build the entries of a group, and return them in order. An entry set to null is left out."""
    return [made for made in build(group).values() if made is not None]


def run_folder(config: DictConfig) -> RunFolder:
    """Return the folder of a run: `runs`/`name`.

    Each job of a sweep has its own subfolder there, named after what the sweep varies.
    """
    return RunFolder.named(config.runs, config.name, config.job)


def resolved(config: DictConfig) -> DictConfig:
    """Return a copy of the config with interpolations resolved, as a run's `config.yaml` holds it."""
    copy = OmegaConf.create(OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
    assert isinstance(copy, DictConfig), "a config is a mapping"
    return copy
