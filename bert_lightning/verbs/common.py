"""From a composed config to objects, with errors that a user can read."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
from collections.abc import Mapping
from typing import Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from bert_lightning.errors import UserError
from bert_lightning.runs.folder import RunFolder


def build(node: DictConfig, *arguments: Any, **extra: Any) -> Any:
    """Make what a node's `_target_` names.

    Raises:
        UserError: the target refused a value; the message names the node.
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
    """What the entries of a group make, in order; an entry set to null is left out."""
    return [made for made in build(group).values() if made is not None]


def check_keys(config: DictConfig) -> None:
    """Every top-level key must be one of the verb's, and every key beside a `_target_` a parameter of what it names.

    Hydra's own check covers what is on the command line, not a mistyped key in somebody's yaml or behind a `+`, nor a
    word where a target takes a number.

    Raises:
        UserError: one is not; the message names the nearest that is.
    """
    _check_node(config, "")


def _check_node(node: DictConfig, path: str) -> None:
    schema = OmegaConf.get_type(node)
    if schema is not None and dataclasses.is_dataclass(schema):
        _check_known(node, path, [field.name for field in dataclasses.fields(schema)], "this config")
    if "_target_" in node:
        parameters = inspect.signature(_locate(node._target_, path)).parameters
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
            _check_known(node, path, list(parameters), node._target_)
        _check_numbers(node, path, parameters)
    for name in map(str, node):
        if not OmegaConf.is_missing(node, name) and isinstance(child := node._get_node(name), DictConfig):
            if child._is_none():
                continue
            _check_node(child, f"{path}.{name}".lstrip("."))


def _check_known(node: DictConfig, path: str, known: list[str], owner: str) -> None:
    for key in map(str, node):
        if not key.startswith("_") and key not in known:
            raise UserError(f"{f'{path}.{key}'.lstrip('.')} is not a key of {owner}{_nearest(key, known)}")


def _check_numbers(node: DictConfig, path: str, parameters: Mapping[str, inspect.Parameter]) -> None:
    """A word where the target says that it takes a number."""
    for key in (key for key in parameters if key in node and not OmegaConf.is_missing(node, key)):
        annotation = parameters[key].annotation  # a type, or its text (`from __future__ import annotations`)
        kinds = set(re.split(r"\s*\|\s*", getattr(annotation, "__name__", str(annotation))))
        if kinds & {"int", "float"} and "str" not in kinds and isinstance(node[key], str):
            raise UserError(f"{path}.{key}={node[key]} must be a number")


def run_folder(config: DictConfig) -> RunFolder:
    """`runs`/`name`; each job of a sweep has a folder of its own below that, named after what the sweep varies."""
    return RunFolder.named(config.runs, config.name, config.job)


def resolved(config: DictConfig) -> DictConfig:
    """A copy without interpolations: what a run's `config.yaml` holds."""
    copy = OmegaConf.create(OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
    assert isinstance(copy, DictConfig), "a config is a mapping"
    return copy


def _locate(target: str, path: str) -> Any:
    try:
        return hydra.utils.get_object(target)
    except Exception:
        raise UserError(f"{path}._target_={target} cannot be imported: check its spelling or install it") from None


def _nearest(key: str, known: list[str]) -> str:
    matches = difflib.get_close_matches(key, known, n=1)
    return f": did you mean {matches[0]}?" if matches else f"; it has {', '.join(known)}"
