"""What a run folder or a checkpoint may build: the parts of this program, and what the user trusts by name.

A folder may come from anybody, so its config is data. What the user's own command line and yaml name is not checked.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from bert_lightning.errors import UserError
from bert_lightning.runs.environment import note

TRUST = "BERT_LIGHTNING_TRUST"  # modules, classes and functions that any folder may name, separated by commas
_PROGRAM = "bert_lightning"
# The modules, and a few functions, that a config builds from. No other code of this program is built from a config.
_PARTS = tuple(
    f"{_PROGRAM}.{part}"
    for part in (
        "budget", "callbacks", "data.blocks", "data.labelled", "data.masking", "data.packing", "data.pairs",
        "data.phases", "metrics", "model.config", "model.heads", "objectives", "optim", "runs.loggers.csv",
        "runs.loggers.tensorboard", "runs.loggers.wandb", "runs.start.teacher", "text.corpora", "text.hub",
        "text.tokenizers", "text.training",
    )
)  # fmt: skip
# What the yaml files of this program name of other libraries. Code cannot read them where a library is imported alone.
_LIBRARIES = frozenset({
    "lightning.pytorch.Trainer",
    "lightning.pytorch.callbacks.EarlyStopping",
    "lightning.pytorch.strategies.DDPStrategy",
    "lightning.pytorch.strategies.ModelParallelStrategy",
    "torch.optim.AdamW",
    "torchmetrics.classification.BinaryAccuracy",
    "torchmetrics.classification.BinaryF1Score",
    "torchmetrics.classification.MulticlassAccuracy",
})  # fmt: skip


def check_targets(node: Any, place: Path | str, key: str = "") -> None:
    """Check what a config or a checkpoint asks to build, before it is built.

    Args:
        node: the whole, or a part of it.
        place: the file that it was read from.
        key: where in the file the part is.

    Raises:
        UserError: if it names a target that is neither a part of this program nor trusted; the message names the key.
    """
    refused: dict[str, str] = {}
    for name, parent in _nodes(_plain(node), key):
        target = parent["_target_"]
        if not isinstance(target, str) or (_below(target, _PROGRAM) and _problem(target)):
            raise UserError(f"{place}: {name}_target_={target} is not a part of this program that a config may name")
        if problem := _problem(target):
            refused.setdefault(target, f"{name}_target_={target} {problem}")
        elif "_args_" in parent and not _is_registered(target):  # a part of this program takes its values by name
            raise UserError(f"{place}: {name}_args_: values of {target} are given by name; delete this key")
    if refused:
        raise UserError(
            f"{place}: {next(iter(refused.values()))}. If you trust its code, set {TRUST}={_with_registered(refused)}"
        )


def check_plain(node: Any, place: Path, key: str = "") -> None:
    """Check that a config or a checkpoint holds values alone: a run writes them with every interpolation resolved.

    Raises:
        UserError: if a value would be read from elsewhere, such as `${oc.env:HOME}`; the message names the key.
    """
    for name, value in _values(_plain(node), key):
        if isinstance(value, str) and "${" in value:
            raise UserError(f"{place}: {name}={value} is an interpolation, which no run writes: give the value itself")


def check_files(folder: Path) -> None:
    """Check that a run writes and deletes in its folder alone: no link there leads outside, and no file is a device.

    The folders of the loggers are theirs: W&B keeps links with absolute paths, and makes each anew.

    Raises:
        UserError: if one does; the message names it.
    """
    inside = folder.resolve()
    for path in (*folder.iterdir(), *folder.glob("checkpoints/*")):
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            raise UserError(f"{path} is a link to {path.resolve()}, outside of the run: put the file itself there")
        if not (path.is_symlink() or path.is_file() or path.is_dir()):
            raise UserError(f"{path} is neither a file nor a folder: delete it")


def note_what_needs_trust(config: DictConfig) -> None:
    """Say before training which variable `resume`, `evaluate` and `predict` will need for the user's own classes."""
    if names := foreign_targets(config):
        what = "it" if len(names) == 1 else "them"
        note(
            f"{', '.join(names)}: not a part of this program. resume, evaluate and predict build {what} from this run "
            f"only with {TRUST}={_with_registered(names)} in the environment"
        )


@contextmanager
def trusting(config: DictConfig | None) -> Iterator[None]:
    """Trust what the user's own config names: in this block, and in the processes that are started in it."""
    before, names = os.environ.get(TRUST), [] if config is None else foreign_targets(config)
    if names:
        os.environ[TRUST] = _with_registered(names)
    try:
        yield
    finally:
        if before is not None:
            os.environ[TRUST] = before
        elif names:
            del os.environ[TRUST]


def foreign_targets(config: DictConfig) -> list[str]:
    """Return the targets of a config that are neither parts of this program nor trusted already."""
    targets = (parent["_target_"] for _, parent in _nodes(_plain(config), ""))
    return list(dict.fromkeys(target for target in targets if isinstance(target, str) and _problem(target)))


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node


def _values(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Every value in nested mappings and lists, containers too, with its dotted key."""
    yield key, node
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for name, child in items:
        yield from _values(child, f"{key}.{name}".lstrip("."))


def _nodes(node: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping with a `_target_`, and the beginning of its keys."""
    for name, value in _values(node, key):
        if isinstance(value, Mapping) and "_target_" in value:
            yield f"{name}.".lstrip("."), value


def _problem(target: str) -> str | None:
    """Return why a target is refused, None for one that may be built. Only trusted modules are imported."""
    foreign = "is not a part of this program"
    if target in _LIBRARIES or target in _registered():
        return None
    trusted = [root for root in _registered() if _below(target, root)]
    if not trusted and not _below(target, _PROGRAM):
        return foreign
    try:
        found = hydra.utils.get_object(target)
    except Exception as error:  # whatever the module raises
        return f"cannot be imported ({' '.join(str(error).split())[:80]})" if trusted else foreign
    # A trusted module imports others: `my_package.losses.os.system` is not one of its own functions.
    name = str(getattr(found, "__qualname__", "_"))
    origin = f"{getattr(found, '__module__', None)}.{name}"
    is_own = any(_below(origin, root) for root in (*_PARTS, *_registered()))
    if is_own and name[0] != "_" and (inspect.isclass(found) or (inspect.isroutine(found) and "." not in name)):
        return None
    return f"is not defined in {trusted[0]}" if trusted else foreign


def _registered() -> list[str]:
    return [name for name in map(str.strip, os.environ.get(TRUST, "").split(",")) if name]


def _is_registered(target: str) -> bool:
    return any(_below(target, root) for root in _registered())


def _with_registered(names: Sequence[str] | Mapping[str, str]) -> str:
    return ",".join(dict.fromkeys((*_registered(), *names)))


def _below(name: str, root: str) -> bool:
    return name == root or name.startswith(f"{root}.")
