"""Compose the config of a verb inside a Python program, with Hydra's state as in a job of the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from hydra import compose, version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobRuntime
from omegaconf import DictConfig, open_dict, read_write

from bert_lightning.config.hydra_registry import register
from bert_lightning.config.validation import check_config
from bert_lightning.console.config_errors import explained_config_errors
from bert_lightning.console.override_syntax import normalize_overrides
from bert_lightning.errors import UserError
from bert_lightning.help import conf_folder

_STATE = (GlobalHydra, HydraConfig, JobRuntime, version.VersionBase)  # what Hydra keeps of the current job


@contextmanager
def python_job(
    verb: str, overrides: Sequence[str], config_dir: str | os.PathLike[str] | None = None
) -> Iterator[DictConfig]:
    """Yield the checked config of a verb. Inside the block, Hydra's state is that of a job of the command line.

    The state that Hydra had before is restored at the end, so a program may use Hydra itself, too.

    Args:
        verb: the verb.
        overrides: overrides as on the command line, such as `variant=albert`.
        config_dir: a folder with yaml files of the user, as the flag `--config-dir` names it.

    Raises:
        UserError: if the config cannot be composed, or a value is wrong.
    """
    register()
    given = normalize_overrides(_checked(overrides), sweep=False)
    with _fresh_state(), explained_config_errors(verb, given):
        path = create_config_search_path(str(conf_folder()))
        if config_dir is not None:
            path.prepend("command-line", f"file://{_existing(config_dir)}", SearchPathQuery(provider="schema"))
        version.setbase("1.3")
        Hydra.create_main_hydra2("bert_lightning", path)
        config = compose(verb, given, return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        config = deepcopy(config)
        with read_write(config), open_dict(config):
            del config["hydra"]
        check_config(config, given)
        yield config


@contextmanager
def _fresh_state() -> Iterator[None]:
    instances: dict[Any, Any] = Singleton._instances
    before = {kind: instances.pop(kind) for kind in _STATE if kind in instances}
    try:
        yield
    finally:
        for kind in _STATE:
            instances.pop(kind, None)
        instances.update(before)


def _checked(overrides: Any) -> list[str]:
    """Return the overrides as a list. Raise UserError if they are anything else than texts."""
    if isinstance(overrides, str) or not all(isinstance(each, str) for each in overrides):
        raise UserError(f"{overrides!r} is no list of overrides: give a list of texts, such as ['variant=albert']")
    return list(overrides)


def _existing(folder: str | os.PathLike[str]) -> Path:
    path = Path(folder).expanduser().absolute()
    if not path.is_dir():
        raise UserError(f"config_dir={folder} is no folder: give the folder that holds your own yaml files")
    return path
