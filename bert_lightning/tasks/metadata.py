"""The task that a checkpoint names: its task type and objective, stored as plain data and built again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import hydra
from omegaconf import DictConfig, OmegaConf

from bert_lightning.config.building import build
from bert_lightning.data.labelled.task_types import TaskType
from bert_lightning.errors import UserError
from bert_lightning.objectives.downstream import TaskObjective
from bert_lightning.runs.trust import check_no_interpolations, check_targets
from bert_lightning.tasks.registry import REGISTRY, with_names, with_paths

T = TypeVar("T")
# Parts of a task that a checkpoint names -> the base class of each.
_CLASSES: dict[str, type[Any]] = {"type": TaskType, "objective": TaskObjective}


def task_metadata(task: DictConfig, labels: Sequence[str]) -> dict[str, Any]:
    """Return a task's metadata for a checkpoint, as plain data. It holds registered names instead of Python paths.

    Raises:
        UserError: if the task type or the objective is not named by a class. The checkpoint could not be used then.
    """
    kept = OmegaConf.to_container(task, resolve=True)
    assert isinstance(kept, dict), "a task is a mapping"
    for name, base in _CLASSES.items():
        _class_named(f"task.{name}", kept[name], base)
    parts = {name: with_names(kept[name]) for name in _CLASSES}
    return {**parts, "term": kept["term"], "max_length": kept["max_length"], "labels": list(labels)}


def built_part(path: Path, metadata: Mapping[str, Any], name: str) -> Any:
    """Build a part of a task that a checkpoint names: its task type or its objective.

    Args:
        path: path of the checkpoint.
        metadata: metadata of its task, as `task_metadata` returns it.
        name: key of the part, `type` or `objective`.

    Raises:
        UserError: if the part names anything that this program does not build from a file. The message names the key.
    """
    class_of_part(path, metadata, name)
    return build(OmegaConf.create(with_paths(metadata[name])))


def class_of_part(path: Path, metadata: Mapping[str, Any], name: str) -> type[Any]:
    """Return the class of a part of a task that a checkpoint names. The arguments are those of `built_part`.

    Raises:
        UserError: if `built_part` would raise it.
    """
    key, node = f"task.{name}", with_paths(metadata[name])
    check_no_interpolations(node, path, key)
    _check_names(node, f"{path}: {key}", _CLASSES[name])
    check_targets(node, path, key)
    return _class_named(f"{path}: {key}", node, _CLASSES[name])


def _check_names(node: Any, place: str, base: type[Any] | None) -> None:
    """Check that every registered name in a part is known. A newer version may have more of them.

    Args:
        node: the part, with paths in the place of the names that are known.
        place: the checkpoint and the key of the part, for the message.
        base: the base class of the part; None for the parts inside it, such as a pooling.

    Raises:
        UserError: if a name is unknown.
    """
    if isinstance(node, list):
        for number, child in enumerate(node):
            _check_names(child, f"{place}.{number}", None)
    if not isinstance(node, Mapping):
        return
    target = node.get("_target_")
    if isinstance(target, str) and "." not in target:
        known = ", ".join(name for name, part in REGISTRY.items() if _base_of(part) is base)
        raise UserError(f"{place}={target} is unknown to this version, which has {known}: update bert-lightning")
    for key, child in node.items():
        _check_names(child, f"{place}.{key}", None)


def _base_of(part: Any) -> type[Any] | None:
    """Return the base class of a registered task type or objective; None for any other part."""
    return next((base for base in _CLASSES.values() if isinstance(part, type) and issubclass(part, base)), None)


def _class_named(place: str, node: Any, base: type[T]) -> type[T]:
    target = node.get("_target_") if isinstance(node, Mapping) else node
    found = hydra.utils.get_object(target) if isinstance(node, Mapping) and isinstance(target, str) else None
    if not isinstance(found, type) or not issubclass(found, base):
        raise UserError(f"{place}._target_={target} is not a class derived from {base.__module__}.{base.__name__}")
    return found
