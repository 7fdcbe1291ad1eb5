"""`bert-lightning evaluate`: measure checkpoints on a split of a task, with the task's official metrics.

A fine-tuned checkpoint answers its task. A pretrained one answers minimal pairs, by its masked-word head.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from bert_lightning.errors import ExpectedError, UserError
from bert_lightning.runs.pretrained import load_pretrained
from bert_lightning.runs.run_folder import newest_finished_run
from bert_lightning.tasks.checkpoint_choice import asks_for_several, checkpoint_locations
from bert_lightning.tasks.checkpoint_evaluation import evaluate_checkpoint
from bert_lightning.tasks.checkpoint_table import CheckpointTable
from bert_lightning.tasks.output import note_written
from bert_lightning.tasks.tokenized_examples import TokenizedExamples


class NotAllMeasured(ExpectedError):
    """The error for checkpoints that could not be measured. The others were."""


def run(config: DictConfig) -> None:
    """Evaluate one checkpoint and print its metrics as JSON, or several and print a table."""
    given = _given(config)
    if asks_for_several(given, config.checkpoints):
        _evaluate_several(config, checkpoint_locations(given, config.checkpoints))
    else:
        print(json.dumps(_evaluate_one(config, given, _chosen_task()), indent=1))


def measure(config: DictConfig) -> Any:
    """Return the metrics of one checkpoint as `measure_one` does, or a list of them if the config asks for several.

    Raises:
        UserError: if a checkpoint cannot be measured, or several are asked for with `output`.
    """
    given = _given(config)
    if not asks_for_several(given, config.checkpoints):
        return _evaluate_one(config, given, _chosen_task())
    if config.output is not None:
        raise UserError(
            f"output={config.output} is for one checkpoint here: leave it out, and write the result yourself"
        )
    tokenized = TokenizedExamples()
    return [
        evaluate_checkpoint(config, load_pretrained(location), _chosen_task(), tokenized)
        for location in checkpoint_locations(given, config.checkpoints)
    ]


def measure_one(config: DictConfig, task_option: str | None = None) -> dict[str, Any]:
    """Return the metrics of one checkpoint on `split`, and the number of examples.

    Args:
        config: the config of `evaluate`.
        task_option: the option of the group `task` in the config; None: that of the Hydra job of this process.
    """
    return _evaluate_one(config, _given(config), task_option or _chosen_task())


def _evaluate_one(config: DictConfig, run: str, task_option: str | None) -> dict[str, Any]:
    (location,) = checkpoint_locations(run, config.checkpoints)
    return evaluate_checkpoint(config, load_pretrained(location), task_option, TokenizedExamples(), config.output)


def _evaluate_several(config: DictConfig, locations: Sequence[str]) -> None:
    """Evaluate several checkpoints, and print a table at the end. One that cannot be measured does not stop the others.

    Raises:
        NotAllMeasured: if a checkpoint could not be measured.
    """
    tokenized, failures = TokenizedExamples(), []
    with CheckpointTable.writing(config.output) as table:
        for number, location in enumerate(locations, 1):
            print(f"# {number} of {len(locations)}: {location}", file=sys.stderr, flush=True)
            try:
                source = load_pretrained(location)
                table.add(source, evaluate_checkpoint(config, source, _chosen_task(), tokenized))
            except (ExpectedError, OSError) as error:
                failures.append(f"{location}: {error}")
    if table.rows:
        print(table.text())
    note_written(config.output)
    if failures:
        print("\n".join(failures), file=sys.stderr, flush=True)
        raise NotAllMeasured(f"{len(failures)} of {len(locations)} checkpoints were not measured: see above")


def _given(config: DictConfig) -> Any:
    """Return the key `run` as a text or a list of texts, with the folder of the newest run in the place of `newest`."""
    given: Any = OmegaConf.to_container(config, resolve=True)["run"]  # type: ignore[index, call-overload]
    return [_text(config, each) for each in given] if isinstance(given, list) else _text(config, given)


def _text(config: DictConfig, location: Any) -> Any:
    if location != "newest":
        return str(location) if isinstance(location, int) else location  # a folder may be named by a number
    verb = "finetune" if config.task is None or config.task.objective is not None else "pretrain"
    found = str(newest_finished_run(Path(config.runs), (verb,)))
    print(f"# {found}", file=sys.stderr)
    return found


def _chosen_task() -> str | None:
    """Return the option of the group `task` in the Hydra job of this process, if that is an evaluation."""
    given = HydraConfig.get() if HydraConfig.initialized() else None
    return given.runtime.choices.get("task") if given is not None and given.job.config_name == "evaluate" else None
