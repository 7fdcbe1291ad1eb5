"""`bert-lightning evaluate`: measure a checkpoint on a split of its task, with the task's official metrics."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bert_lightning.config.saved import saved_task
from bert_lightning.data.labelled.task_types import TaskType
from bert_lightning.errors import UserError
from bert_lightning.metrics import TaskMetrics
from bert_lightning.runs.pretrained import PretrainedWeights, load_pretrained
from bert_lightning.runs.run_folder import RunFolder, newest_finished_run
from bert_lightning.runs.trust import trust_targets_of
from bert_lightning.tasks.answering import Answerer
from bert_lightning.tasks.data import read_examples, task_metrics, task_type_of
from bert_lightning.tasks.output import json_lines, note_cut, note_written, progress
from bert_lightning.tasks.registry import is_registered


def run(config: DictConfig) -> None:
    """Evaluate, and print the metrics as JSON."""
    print(json.dumps(evaluate(config), indent=1))


def evaluate(config: DictConfig) -> dict[str, Any]:
    """Return the metrics on `split` and the number of examples. The task is `task`, or else that of the run."""
    location = config.run
    if location == "newest":
        location = str(newest_finished_run(Path(config.runs), ("finetune",)))
        print(f"# {location}", file=sys.stderr)
    source = load_pretrained(location)
    task = _task_of_run(source) if config.task is None else _resolved_task(config)
    if config.path is not None:
        task.path = task.files.path = config.path
        if not Path(config.path).expanduser().is_dir():
            task.files.splits[config.split] = config.path
    given = None if config.task is None else task
    with trust_targets_of(given):
        answer = Answerer(source, given)
    task_type = task_type_of(task)
    _check_same(task_type, answer, source, task)
    examples = read_examples(task, config.split, task_type, config.max_examples)
    task_type.check(examples, answer.labels)
    metrics = TaskMetrics(task.term, task_metrics(task, answer.labels))
    with json_lines(config.output, config.path or task.path) as write:
        for example, prediction in progress(answer(examples, config.batch_size), len(examples)):
            metrics.update(None, [prediction], [example])
            write({"id": example.id, **example.inputs, "right": example.answer, "prediction": prediction})
    note_cut(answer.num_cut, len(examples), "examples", answer.max_length)
    note_written(config.output)
    values = {name.removeprefix(f"{task.term}/"): v.item() for name, v in metrics.compute_and_reset().items()}
    counts = {"examples": len(examples), "cut": answer.num_cut}
    return {"run": str(source.path), "split": config.split, **counts, "metrics": values}


def _task_of_run(source: PretrainedWeights) -> DictConfig:
    """Return the task in the run's `config.yaml`. It gives the paths of the data, and the metrics.

    Raises:
        UserError: if there is no such file, or the run has no task.
    """
    folder = source.path if source.path.is_dir() else source.path.parent.parent
    run = RunFolder(folder)
    if not run.config.exists():
        raise UserError(f"{source.path} does not say which data it was trained on: add task=...")
    task = saved_task(run)
    if task is None:
        raise UserError(f"{source.path} is not fine-tuned for a task: fine-tune it first")
    return task


def _resolved_task(config: DictConfig) -> DictConfig:
    return OmegaConf.create(OmegaConf.to_container(config.task, resolve=True, throw_on_missing=True))  # type: ignore[return-value]


def _alike(one: TaskType, other: TaskType) -> bool:
    """Return whether two task types read the same parts, and are of one registered task type or derived from it.

    Task types that are derived from none of these are alike if one class of the user's own is the base of both.
    """
    return one.parts == other.parts and _origin(type(one)) is _origin(type(other))


def _origin(task_type: type[TaskType]) -> type[Any]:
    classes = [base for base in task_type.__mro__ if issubclass(base, TaskType) and base is not TaskType]
    return next(filter(is_registered, classes), classes[-1])


def _check_same(task_type: TaskType, answer: Answerer, source: PretrainedWeights, task: DictConfig) -> None:
    if not _alike(task_type, answer.task_type):
        have, want = type(answer.task_type).__name__, type(task_type).__name__
        raise UserError(f"{source.path} has no head for {want}: it was trained for {have}; choose such a task")
    if task.labels is not None and list(task.labels) != answer.labels:
        raise UserError(
            f"{source.path} was trained with the labels {', '.join(answer.labels)}; "
            f"the task has {', '.join(task.labels)}: choose the task that it was trained for"
        )
