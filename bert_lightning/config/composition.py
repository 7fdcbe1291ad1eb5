"""Compose configs, and store the options and overrides of the command line in them. A run's folder keeps them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from bert_lightning.config.validation import check_config
from bert_lightning.quoting import quote_for_hydra


class NotComposable(Exception):
    """The error for a config, one of several, that Hydra cannot compose. Its cause is Hydra's error.

    Args:
        where: the place where the user wrote the overrides.
        verb: the verb whose config it is.
        overrides: the overrides.
    """

    def __init__(self, where: str, verb: str, overrides: Sequence[str]) -> None:
        super().__init__(where)
        self.where, self.verb, self.overrides = where, verb, overrides


def with_choices(config: DictConfig) -> DictConfig:
    """Store the options and overrides of the current Hydra job in its config, and return the config."""
    hydra: Any = HydraConfig.get()
    return _noted(config, hydra)


def composed(verb: str, overrides: Sequence[str]) -> DictConfig:
    """Compose the config of a verb that trains, check it, and store its options and overrides in it."""
    config = compose(verb, list(overrides), return_hydra_config=True)
    with open_dict(config):
        hydra = config.pop("hydra")
    check_config(config, task_overrides(hydra))
    return _noted(config, hydra)


def task_overrides(hydra: Any) -> list[str]:
    """Return the overrides of the Hydra job as they were given. Interpolations in them are not resolved."""
    found: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    return list(found)


def composed_pretraining(overrides: Sequence[str]) -> DictConfig:
    """Compose and check a pretraining config that is only read, not run. It may lack a corpus."""
    config = compose("pretrain", [*overrides, "name=unused"])
    check_config(config, overrides, complete=False)
    return config


def _resolved(override: str, config: DictConfig) -> str:
    """Return an override with its interpolations resolved, because the config of a run must not contain any."""
    if "${" not in override:
        return override
    key = override.partition("=")[0]
    value = OmegaConf.select(config, key.lstrip("+~").partition("@")[0])
    text = str(OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value)
    return f"{key}={quote_for_hydra(text.replace('${', '$ {'))}"


def _noted(config: DictConfig, hydra: DictConfig) -> DictConfig:
    groups = {group: option for group, option in hydra.runtime.choices.items() if not group.startswith("hydra/")}
    overrides = [_resolved(override, config) for override in task_overrides(hydra)]
    sources = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    folders = [part for path in sources for part in ("--config-dir", path)]
    config.origin = {
        "command": shlex.join(["bert-lightning", hydra.job.config_name, *overrides, *folders]),
        "choices": {group: option for group, option in groups.items() if option is not None},
        "overrides": overrides,
    }
    return config
