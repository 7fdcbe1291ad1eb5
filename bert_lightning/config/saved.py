"""Read the config in a run's folder, and check it like one from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from bert_lightning.config.finalize import finalize
from bert_lightning.config.validation import check_config, check_part
from bert_lightning.errors import UserError
from bert_lightning.runs.compatibility import read_run_config
from bert_lightning.runs.ranks import device_count
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.trust import check_targets


def saved_config(folder: RunFolder) -> DictConfig:
    """Return the config that a run was started from, after checking its targets and values.

    Raises:
        UserError: if there is no run, or its config is damaged, names code that is not trusted, or is not of a run.
    """
    config = read_run_config(folder)
    check_targets(config, folder.config)  # before `check_config`, which imports what the targets name
    with _naming(folder):
        check_config(config)
        return finalize(config, {"trainer.devices": device_count(config.trainer)})


def saved_task(folder: RunFolder) -> DictConfig | None:
    """Return the task of a run; None for a run without a task. The other parts of its config are not checked.

    Raises:
        UserError: if there is no run, or its task is damaged or names code that is not trusted.
    """
    config = read_run_config(folder)
    if config.verb != "finetune":
        return None
    check_targets(config.get("task"), folder.config, "task")
    with _naming(folder):
        check_part(config, "task")
    task: DictConfig = config.task
    return task


@contextmanager
def _naming(folder: RunFolder) -> Iterator[None]:
    """Add the path of the run's config to the message of an error in this block."""
    try:
        yield
    except (UserError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{folder.config}: {reason} (restore the file from a copy of the run)") from None
