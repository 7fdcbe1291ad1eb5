"""`bert-lightning resume <run folder> [key=value ...]`: continue a run from its folder alone.

No config is composed. Ranks that torchrun or srun start read the config that the first process wrote.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bert_lightning.config.building import build
from bert_lightning.config.finalize import finalize
from bert_lightning.config.saved import saved_config
from bert_lightning.config.validation import check_config
from bert_lightning.errors import UserError
from bert_lightning.runs.compatibility import BATCH_SHARE_KEYS, EXECUTION_KEYS
from bert_lightning.runs.ranks import device_count, exit_with_launcher, has_own_launcher, is_rank_zero
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.training import check_machine, continue_run


def run(arguments: list[str]) -> None:
    """Continue the run unless it is finished, and print its results."""
    exit_with_launcher()
    if not arguments or "=" in arguments[0]:
        raise UserError("resume takes the folder of a run: bert-lightning resume runs/my-run")
    location, *overrides = arguments
    folder = RunFolder(Path(location))
    config = apply_execution_overrides(saved_config(folder), overrides)
    continue_run(config, folder, overrides)
    if is_rank_zero() and not has_own_launcher():
        import_module(f"bert_lightning.verbs.{config.verb}").print_results(config, folder, folder.read_summary())


def apply_execution_overrides(config: DictConfig, overrides: list[str]) -> DictConfig:
    """Return the config with overrides, which may only change how the run is executed.

    Raises:
        UserError: if an override would make it another run, or its key does not exist.
    """
    before = _updates(config)
    for override in overrides:
        key, equals, _ = override.partition("=")
        if not equals or not (key.startswith(EXECUTION_KEYS) or key in BATCH_SHARE_KEYS):
            raise UserError(
                f"{override} cannot be changed in a run: resume takes only the keys that say how it is executed "
                f"({', '.join((*EXECUTION_KEYS, *BATCH_SHARE_KEYS))})"
            )
    try:
        merged = OmegaConf.merge(config, OmegaConf.from_dotlist(overrides))
    except OmegaConfBaseException as error:
        raise UserError(" ".join(str(error).split())) from None
    assert isinstance(merged, DictConfig), "a config is a mapping"
    check_config(merged)
    check_machine(merged)
    merged = finalize(merged, {"trainer.devices": device_count(merged.trainer)})
    for ours, theirs in zip(before, _updates(merged), strict=True):
        if ours != theirs:
            raise UserError(
                f"an update of this run has {ours} examples (or batches of tokens), but {theirs} with these overrides: "
                "keep the product batch_size * trainer.devices * trainer.num_nodes * trainer.accumulate_grad_batches"
            )
    return merged


def _updates(config: DictConfig) -> list[int]:
    """Return the number of examples in an update, at each level of a growing batch size.

    If batches have a fixed number of tokens, it is the number of batches.
    """
    trainer: Any = config.trainer
    size = config.batch_size if config.get("batch_tokens") is None else 1
    sizes = build(config.budget).batch_sizes(size) if "budget" in config else [size]
    return [size * trainer.devices * trainer.num_nodes * trainer.accumulate_grad_batches for size in sizes]
