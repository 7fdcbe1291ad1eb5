"""Check what a run's folder or a checkpoint may build: parts of this program, and code that the user trusts by name.

A folder may come from anybody, so its config must not execute foreign code. Configs that the user writes are trusted.
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
from bert_lightning.runtime.environment import note

# Environment variable: names of modules, classes and functions that any folder may build, separated by commas.
TRUST_ENV = "BERT_LIGHTNING_TRUST"
_PROGRAM = "bert_lightning"
# The modules and functions of this program that a config may name as targets. All other code of it is refused.
_PARTS = tuple(
    f"{_PROGRAM}.{part}"
    for part in (
        "budget", "callbacks", "data.labelled", "data.pretraining.blocks", "data.pretraining.masking",
        "data.pretraining.packing", "data.pretraining.pairs", "data.pretraining.phases", "metrics", "model.config",
        "model.heads", "objectives", "optim", "runs.loggers.csv_logger", "runs.loggers.tensorboard_logger",
        "runs.loggers.wandb_logger", "runs.warm_start.teacher", "search.pruning_callback.PruningCallback",
        "text.corpora", "text.files.rows.read_rows", "text.hub",
        "text.tokenizers.bpe_and_unigram", "text.tokenizers.recipes",
    )
)  # fmt: skip
# The targets in other libraries that this program's yaml files name. They are listed here, since a program that imports
# the package alone may lack those files.
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
    """Check every `_target_` of a config or a checkpoint, before anything is built from it.

    Args:
        node: the config or the checkpoint's metadata, or a part of it.
        place: the file that `node` was read from.
        key: the dotted key of `node` in that file; empty for the whole.

    Raises:
        UserError: if a target is neither a part of this program nor trusted; the message names the key.
    """
    refused: dict[str, str] = {}
    for name, parent in _nodes(_plain(node), key):
        target = parent["_target_"]
        if not isinstance(target, str) or (_below(target, _PROGRAM) and _problem(target)):
            raise UserError(f"{place}: {name}_target_={target} is not a part of this program that a config may name")
        if problem := _problem(target):
            refused.setdefault(target, f"{name}_target_={target} {problem}")
        elif "_args_" in parent and not _is_registered(target):  # parts of this program take keyword arguments only
            raise UserError(f"{place}: {name}_args_: {target} takes arguments by name only: delete this key")
    if refused:
        raise UserError(
            f"{place}: {next(iter(refused.values()))}. "
            f"If you trust its code, set {TRUST_ENV}={_with_registered(refused)}"
        )


def check_no_interpolations(node: Any, place: Path, key: str = "") -> None:
    """Check that a config or a checkpoint holds no interpolation. A run writes resolved configs only.

    Args:
        node: the config or the checkpoint's metadata, or a part of it.
        place: the file that `node` was read from.
        key: the dotted key of `node` in that file; empty for the whole.

    Raises:
        UserError: if a value contains an interpolation, such as `${oc.env:HOME}`; the message names the key.
    """
    for name, value in _values(_plain(node), key):
        if isinstance(value, str) and "${" in value:
            raise UserError(
                f"{place}: {name}={value} is an interpolation, which no run writes: replace it with its value"
            )


def check_files_of_run(folder: Path) -> None:
    """Check that a run's folder has no link that leads outside it, and nothing but files, folders and links.

    So a run can write and delete inside its own folder only. The folder of W&B is not checked: it keeps links with
    absolute paths, and creates each link anew.

    Raises:
        UserError: if a link leads outside or something is no file, folder or link; the message names it.
    """
    inside = folder.resolve()
    for path in (*folder.iterdir(), *folder.glob("checkpoints/*"), *folder.glob("tensorboard/**/*")):
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            raise UserError(f"{path} is a link to {path.resolve()}, outside of the run: replace the link with the file")
        if not (path.is_symlink() or path.is_file() or path.is_dir()):
            raise UserError(f"{path} is neither a file nor a folder: delete it")


def note_foreign_targets(config: DictConfig) -> None:
    """Print a note before training if the config names foreign code.

    The note gives the environment variable that `resume`, `evaluate` and `predict` will need for it.
    """
    if names := foreign_targets(config):
        what = "it" if len(names) == 1 else "them"
        note(
            f"{', '.join(names)}: not a part of this program. resume, evaluate and predict build {what} from this run "
            f"only with {TRUST_ENV}={_with_registered(names)} in the environment"
        )


@contextmanager
def trust_targets_of(config: DictConfig | None) -> Iterator[None]:
    """Trust all targets of the user's own config, in the `with` block and in processes that it starts."""
    before, names = os.environ.get(TRUST_ENV), [] if config is None else foreign_targets(config)
    if names:
        os.environ[TRUST_ENV] = _with_registered(names)
    try:
        yield
    finally:
        if before is not None:
            os.environ[TRUST_ENV] = before
        elif names:
            del os.environ[TRUST_ENV]


def foreign_targets(config: DictConfig) -> list[str]:
    """Return the targets in a config that are neither parts of this program nor trusted already, in order."""
    targets = (parent["_target_"] for _, parent in _nodes(_plain(config), ""))
    return list(dict.fromkeys(target for target in targets if isinstance(target, str) and _problem(target)))


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node


def _values(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield every value in nested mappings and lists with its dotted key. The mappings and lists are values too."""
    yield key, node
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for name, child in items:
        yield from _values(child, f"{key}.{name}".lstrip("."))


def _nodes(node: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every nested mapping with a `_target_`, and the prefix of its dotted keys, such as `model.`."""
    for name, value in _values(node, key):
        if isinstance(value, Mapping) and "_target_" in value:
            yield f"{name}.".lstrip("."), value


def _problem(target: str) -> str | None:
    """Return why a target is refused; None if it may be built. Only this program and trusted modules are imported."""
    foreign = "is not a part of this program"
    if target in _LIBRARIES or target in _registered():
        return None
    trusted = [root for root in _registered() if _below(target, root)]
    if not trusted and not _below(target, _PROGRAM):
        return foreign
    try:
        found = hydra.utils.get_object(target)
    except Exception as error:  # an import may raise any error
        return f"cannot be imported ({' '.join(str(error).split())[:80]})" if trusted else foreign
    # A module also has the names that it imports. So `my_package.losses.os.system` is not a function of my_package.
    name = str(getattr(found, "__qualname__", "_"))
    origin = f"{getattr(found, '__module__', None)}.{name}"
    is_own = any(_below(origin, root) for root in (*_PARTS, *_registered()))
    if is_own and name[0] != "_" and (inspect.isclass(found) or (inspect.isroutine(found) and "." not in name)):
        return None
    return f"is not defined in {trusted[0]}" if trusted else foreign


def _registered() -> list[str]:
    """Return the names that the user trusts by the environment variable."""
    return [name for name in map(str.strip, os.environ.get(TRUST_ENV, "").split(",")) if name]


def _is_registered(target: str) -> bool:
    return any(_below(target, root) for root in _registered())


def _with_registered(names: Sequence[str] | Mapping[str, str]) -> str:
    """Return the value of the environment variable that trusts these names too."""
    return ",".join(dict.fromkeys((*_registered(), *names)))


def _below(name: str, root: str) -> bool:
    """Return whether a dotted name is `root`, or inside it."""
    return name == root or name.startswith(f"{root}.")
