"""Keep the predictions of a task: the ids of examples, the rows of predictions, and a callback for training."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig, OmegaConf

from bert_lightning.data.labelled.task_types import Example, Prediction, TaskType, Unit, content_hash
from bert_lightning.errors import UserError
from bert_lightning.metrics import F1
from bert_lightning.runs.predictions_file import fingerprint, read_predictions, write_predictions
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runtime.collectives import gather_over_ranks
from bert_lightning.runtime.environment import note
from bert_lightning.tasks.registry import REGISTRY

VALIDATION = "validation"  # name of the predictions that a fine-tuning keeps


def task_name(config: DictConfig) -> str:
    """Return the name of the task in a fine-tuning config: the option of the group `task`, or else the term."""
    return str(OmegaConf.select(config, "origin.choices.task") or config.task.term)


def example_ids(examples: Sequence[Example]) -> list[str]:
    """Return an id for each example, which does not depend on the order of the examples. Ids are unique.

    It is the id in the example's row, if the row has one that no other row has. Otherwise it has a hash of the inputs
    and the answer. Examples that are equal in all this are numbered.
    """
    given = Counter(example.id for example in examples if not example.numbered)
    ids: list[str] = []
    taken: set[str] = set(given)
    seen: Counter[str] = Counter()
    for example in examples:
        if not example.numbered and given[example.id] == 1:
            ids.append(example.id)
            continue
        name = content_hash([example.inputs, example.answer])
        name = name if example.numbered else f"{example.id}-{name}"
        while name in taken:
            seen[name] += 1
            name = f"{name}-{seen[name] + 1}"
        taken.add(name)
        ids.append(name)
    return ids


def about_task(
    task: str, split: str, task_type: TaskType, labels: Sequence[str], metrics: Iterable[Any]
) -> dict[str, Any]:
    """Return the description of a task's predictions, without the checkpoint and the values of the metrics.

    Beside the keys of every file, it has `task_type`, the registered name of the task type; `labels`, the classes; and
    `positive`, the class that the metric `f1` is about. Each is null or empty if there is none.

    Args:
        task: the name of the task.
        split: the split.
        task_type: the task type.
        labels: the classes.
        metrics: the metrics of the task.
    """
    registered = {part: name for name, part in REGISTRY.items()}
    kind = next((registered[base] for base in type(task_type).__mro__ if base in registered), None)
    positive = next((m.labels[m.positive] for m in metrics if isinstance(m, F1)), None)
    return {"split": split, "task": task, "task_type": kind, "labels": list(labels), "positive": positive}


def keep_predictions(
    run: RunFolder,
    name: str,
    examples: Sequence[Example],
    rows: Sequence[dict[str, Any]],
    about: Mapping[str, Any],
    replace: bool = True,
) -> Path | None:
    """Write the predictions of a run, and return the path of the rows.

    A run without this file is whole. So if it cannot be written, a note says so, and None is returned.

    Args:
        run: the folder of the run.
        name: the name of the file.
        examples: the examples.
        rows: their predictions, as `TaskType.prediction_row` returns them.
        about: the description of the predictions.
        replace: whether to replace a file with predictions of the same checkpoint for the same examples.
    """
    with_ids = [{"id": name} | row for name, row in zip(example_ids(examples), rows, strict=True)]
    try:
        if not replace and _is_kept(run.predictions / f"{name}.jsonl", about["checkpoint"], fingerprint(with_ids)):
            return run.predictions / f"{name}.jsonl"
        return write_predictions(run.predictions, name, with_ids, about)
    except OSError as error:
        note(f"{run.predictions}: the predictions of {name} are not kept ({error.strerror})")
        return None


def _is_kept(path: Path, checkpoint: str, examples: str) -> bool:
    """Return whether an intact file has the predictions of a checkpoint for the examples of a fingerprint."""
    try:
        about = read_predictions(path).about if path.exists() else {}
    except UserError:
        return False
    return about.get("checkpoint") == checkpoint and about.get("fingerprint") == examples


def data_hash(examples: Sequence[Example]) -> str:
    """Return eight hexadecimal digits that identify examples, in any order."""
    return content_hash(sorted(content_hash([example.inputs, example.answer]) for example in examples))[:8]


def plain_name(*parts: str) -> str:
    """Return the name of a file of predictions, from its parts. Characters that a name may not have become `_`."""
    return "-".join(re.sub(r"[^\w.]|^\.", "_", part) for part in parts)


class KeepPredictions(Callback):
    """A callback that keeps the predictions of the last validation of a run, which follows its last update.

    It writes them before the last checkpoint. So a run that ends while they are written repeats this validation when it
    resumes.

    Args:
        task_type: the task type.
        examples: the validation examples.
        about: the description of the predictions, without the checkpoint and the metrics.
        all_predictions: function that returns the predictions for all examples, if they need more than one batch; None:
            they are those of the batches.
    """

    def __init__(
        self,
        task_type: TaskType,
        examples: Sequence[Example],
        about: Mapping[str, Any],
        all_predictions: Callable[[], Sequence[Prediction]] | None = None,
    ) -> None:
        self.task_type, self.examples, self.about = task_type, examples, about
        self._all_predictions = all_predictions
        self._batches: list[list[tuple[Example, Prediction]]] = []

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._batches = []

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        units: list[Unit] = batch["units"].units
        self._batches.append([(unit.example, p) for unit, p in zip(units, outputs["predictions"], strict=True)])

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the predictions if training ends after this validation. Early stopping has decided about it already."""
        batches, self._batches = self._batches, []
        if not trainer.should_stop:
            return
        if self._all_predictions is not None:
            pairs = zip(self.examples, self._all_predictions(), strict=True)
            rows = [self.task_type.prediction_row(*pair) for pair in pairs]
        else:
            mine = [[self.task_type.prediction_row(*pair) for pair in batch] for batch in batches]
            rows = _in_order(gather_over_ranks(mine))
        if not trainer.is_global_zero:
            return
        metrics = {
            name.rpartition("/")[2]: float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith(f"val/{pl_module.term}/")
        }
        about = {**self.about, "checkpoint": f"step-{trainer.global_step}.ckpt", "metrics": metrics}
        run = RunFolder(Path(trainer.default_root_dir))
        keep_predictions(run, VALIDATION, self.examples[: len(rows)], rows, about)


def _in_order(ranks: Iterable[Sequence[list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Return the rows of all ranks in the order of the examples. The ranks took the batches in turn."""
    return [row for turn in zip_longest(*ranks, fillvalue=[]) for batch in turn for row in batch]
