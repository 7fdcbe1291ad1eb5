"""Choose the fine-tuning hyperparameters (group `finetuning`) that were published for an encoder's family."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from bert_lightning.config.composition import composed, task_overrides
from bert_lightning.errors import UserError
from bert_lightning.model.hugging_face.conversion import model_type_of
from bert_lightning.model.hugging_face.weight_files import config_file, read_json_object
from bert_lightning.runs.compatibility import read_run_config
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.text.locations import locate

_FROM_ENCODER, _DEFAULT = "from_encoder", "bert"  # a family without an option keeps `from_encoder`, which equals `bert`


def with_finetuning_of_encoder(config: DictConfig) -> DictConfig:
    """Return the config with the `finetuning` option of the encoder's family, unless the command line chose one.

    If that option is not `bert`, the config is composed again with it.
    """
    hydra: Any = HydraConfig.get()
    if hydra.runtime.choices["finetuning"] != _FROM_ENCODER:
        return config
    option = finetuning_option_of(config.encoder)
    known = GlobalHydra.instance().config_loader().get_group_options("finetuning")
    if option == _DEFAULT or option not in known:
        return config
    print(
        f"note: finetuning={option}, the option for this encoder's family; finetuning=bert overrides it",
        file=sys.stderr,
    )
    anew = composed(hydra.job.config_name, [*task_overrides(hydra), f"finetuning={option}"])
    anew.name, anew.job = config.name, config.job
    return anew


def finetuning_option_of(location: str, through: tuple[Path, ...] = ()) -> str | None:
    """Return the option of the group `finetuning` for an encoder; None if nothing names it.

    It is `published.finetuning` of a pretraining run, or `model_type` of a Hugging Face folder. A fine-tuned run has
    the option of its initial encoder. A damaged `config.json` gives None here, and raises an error when it is loaded.

    Args:
        location: path or name of the encoder.
        through: `config.yaml` files of the fine-tuned runs that were followed to this encoder.

    Raises:
        UserError: if a run is its own initial encoder, or its `config.yaml` is damaged.
    """
    path = locate(location)
    run = RunFolder(path.parent.parent if path.suffix == ".ckpt" else path)
    try:
        if (published := config_file(path)) is not None:
            family = model_type_of(read_json_object(published))
            return family if isinstance(family, str) else None
    except (OSError, ValueError):
        return None
    if not run.config.exists():
        return None
    config = read_run_config(run)
    if "encoder" in config:
        if run.config in through:
            raise UserError(f"{run.config} names its own run as its encoder: give another encoder=...")
        return finetuning_option_of(str(config.encoder), (*through, run.config))
    option: str | None = OmegaConf.select(config, "published.finetuning")
    return option
