"""`bert-lightning resume <run folder> [key=value ...]`: go on with a run, from its folder alone.

No config is composed: ranks that torchrun or srun start read what the first process wrote.
"""

from __future__ import annotations

from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bert_lightning.errors import UserError
from bert_lightning.runs.checkpoint_files import newest_whole
from bert_lightning.runs.folder import RunFolder
from bert_lightning.runs.ranks import is_own_rank
from bert_lightning.verbs.common import build, check_keys
from bert_lightning.verbs.training import launch, runs_here, session

# How a run is executed. Whatever else an override would change, it would make it another run.
_EXECUTION = ("num_workers", "launch", "logger.", "callbacks.", "trainer.devices", "trainer.num_nodes",
              "trainer.accelerator", "trainer.strategy")  # fmt: skip
_SHARES = ("batch_size", "trainer.accumulate_grad_batches")  # if their product with the ranks stays what it was


def run(arguments: list[str]) -> None:
    """Go on, or say that there is nothing left to do."""
    if not arguments or "=" in arguments[0]:
        raise UserError("resume takes the folder of a run: bert-lightning resume runs/my-run")
    location, *overrides = arguments
    folder = RunFolder(Path(location))
    config = changed(read_config(folder), overrides)
    if folder.summary.exists():
        _say_end(folder)
        return
    if not runs_here(config):
        launch(config, folder, overrides)
        _say_end(folder)
        return
    # Held before the checkpoints are read: a process that trains this run deletes old ones meanwhile.
    with folder.held() if rank_zero_only.rank == 0 else nullcontext():
        checkpoint = newest_whole(folder.checkpoints)
        verb = import_module(f"bert_lightning.verbs.{config.verb}")
        session(config, folder, verb.parts, checkpoint).train()
    if not is_own_rank():
        _say_end(folder)


def read_config(folder: RunFolder) -> DictConfig:
    """The config that a run was started from.

    Raises:
        UserError: no run there, or not one that this program can read.
    """
    if not folder.config.exists():
        raise UserError(f"no run at {folder.path}: it has no config.yaml")
    try:
        config = OmegaConf.load(folder.config)
    except Exception as error:  # the yaml parser has errors of its own
        raise UserError(f"{folder.config} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(config, DictConfig) or "verb" not in config:
        raise UserError(f"{folder.config} is not the config of a run that this program can resume")
    return config


def changed(config: DictConfig, overrides: list[str]) -> DictConfig:
    """The config with overrides of how the run is executed.

    Raises:
        UserError: an override that would make it another run, or of a key that does not exist.
    """
    before = _updates(config)
    for override in overrides:
        key, equals, _ = override.partition("=")
        if not equals or not (key.startswith(_EXECUTION) or key in _SHARES):
            raise UserError(f"{override}: resume changes how a run is executed ({', '.join(_EXECUTION)}), nothing else")
    try:
        merged = OmegaConf.merge(config, OmegaConf.from_dotlist(overrides))
    except OmegaConfBaseException as error:
        raise UserError(" ".join(str(error).split())) from None
    assert isinstance(merged, DictConfig), "a config is a mapping"
    check_keys(merged)
    for ours, theirs in zip(before, _updates(merged), strict=True):
        if ours != theirs:
            raise UserError(
                f"an update of this run takes {ours} examples, with these overrides {theirs}: "
                "keep batch_size * trainer.devices * trainer.num_nodes * trainer.accumulate_grad_batches"
            )
    return merged


def _updates(config: DictConfig) -> list[int]:
    """Examples of an update, at each level of a growing batch."""
    trainer: Any = config.trainer
    sizes = build(config.budget).batch_sizes(config.batch_size) if "budget" in config else [config.batch_size]
    return [size * trainer.devices * trainer.num_nodes * trainer.accumulate_grad_batches for size in sizes]


@rank_zero_only
def _say_end(folder: RunFolder) -> None:
    summary = folder.read_summary()
    print(f"{folder.path}: {summary['steps']} steps in {summary['wall_seconds']:.0f} s", flush=True)
