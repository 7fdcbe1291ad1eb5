"""Measure one checkpoint on a split of a task, and keep its predictions in the folder of its run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bert_lightning.callbacks.checkpoint_names import LAST
from bert_lightning.config.saved import saved_task
from bert_lightning.data.labelled.contrastive import ContrastivePairs
from bert_lightning.data.labelled.minimal_pairs import MinimalPairs
from bert_lightning.data.labelled.retrieval import Retrieval
from bert_lightning.data.labelled.task_types import Example, TaskType
from bert_lightning.errors import UserError
from bert_lightning.metrics import TaskMetrics
from bert_lightning.runs.compatibility import read_run_config
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.trust import trust_targets_of
from bert_lightning.tasks.answering import Answerer
from bert_lightning.tasks.data import source_of, task_metrics, task_type_of
from bert_lightning.tasks.dense_retrieval import Retriever
from bert_lightning.tasks.embedding_settings import as_embeddings, embeds_texts
from bert_lightning.tasks.metadata import built_part
from bert_lightning.tasks.output import json_lines, note_cut, note_written, progress
from bert_lightning.tasks.pseudo_likelihood import PairScorer
from bert_lightning.tasks.registry import is_registered
from bert_lightning.tasks.task_predictions import (
    VALIDATION,
    about_task,
    data_hash,
    keep_predictions,
    plain_name,
    task_name,
)
from bert_lightning.tasks.tokenized_examples import TokenizedExamples


def evaluate_checkpoint(
    config: DictConfig,
    source: PretrainedWeights,
    task_option: str | None,
    tokenized: TokenizedExamples,
    output: str | None = None,
) -> dict[str, Any]:
    """Return the metrics of a checkpoint on `split`, and the number of examples.

    Args:
        config: the config of `evaluate`. The task is `task`, or else that of the run.
        source: the checkpoint.
        task_option: the option of the group `task` in the config, if it is known.
        tokenized: the examples that were read and tokenized before.
        output: JSONL file for every example with its prediction.
    """
    task = _task_of_run(source) if config.task is None else _resolved_task(config)
    if config.path is not None:
        task.path = task.files.path = config.path
        if not Path(config.path).expanduser().is_dir():
            task.files.splits[config.split] = config.path
    task_type = task_type_of(task)
    answer = _predictor(config, source, task, task_type)
    examples = tokenized.read(task, config.split, task_type, config.max_examples)
    task_type.check(examples, answer.labels)
    metrics = TaskMetrics(task.term, task_metrics(task, answer.labels))
    predictions = []
    with json_lines(output, config.path or task.path) as write:
        for example, prediction in progress(answer(examples, config.batch_size, tokenized), len(examples)):
            metrics.update(None, [prediction], [example])
            predictions.append(prediction)
            write({"id": example.id, **example.inputs, "right": example.answer, "prediction": prediction})
    note_cut(answer.num_cut, len(examples), "examples", answer.max_length)
    note_written(output)
    values = {name.removeprefix(f"{task.term}/"): v.item() for name, v in metrics.compute_and_reset().items()}
    if config.max_examples is None:  # some of a split's examples are not what its name stands for
        rows = [task_type.prediction_row(*pair) for pair in zip(examples, predictions, strict=True)]
        name = task_type.measured_name(_task_name(config, source, task, task_option))
        about = about_task(name, config.split, task_type, answer.labels, metrics.metrics.values())
        _keep(config, source, task, examples, rows, {**about, "metrics": values})
    counts = {"examples": len(examples), "cut": answer.num_cut}
    groups = task_type.breakdown(examples, predictions)
    return {"run": str(source.path), "split": config.split, **counts, "metrics": values, **groups}


def _predictor(
    config: DictConfig, source: PretrainedWeights, task: DictConfig, task_type: TaskType
) -> Answerer | PairScorer | Retriever:
    """Return what predicts the examples of the task, after checking that the checkpoint can answer it."""
    if isinstance(task_type, MinimalPairs):
        return PairScorer(source, task_type, task.max_length)
    if isinstance(task_type, Retrieval):
        return Retriever(source, task_type, task.max_length, source_of(task))
    if isinstance(task_type, ContrastivePairs):
        return Retriever(source, task_type, task.max_length)
    given = None if config.task is None else task
    with trust_targets_of(given):
        if given is not None and embeds_texts(task) and not _has_task(source, task_type):
            source = as_embeddings(source, task)
        answer = Answerer(source, given)
    _check_same(task_type, answer, source, task)
    return answer


def _has_task(source: PretrainedWeights, task_type: TaskType) -> bool:
    own = source.metadata.get("task")
    return own is not None and _alike(task_type, built_part(source.path, own, "type"))


def _task_of_run(source: PretrainedWeights) -> DictConfig:
    """Return the task in the run's `config.yaml`. It gives the paths of the data, and the metrics.

    Raises:
        UserError: if there is no such file, or the run has no task.
    """
    run = run_of(source)
    if not run.config.exists():
        raise UserError(f"{source.path} does not say which data it was trained on: add task=...")
    task = saved_task(run)
    if task is None:
        raise UserError(f"{source.path} is not fine-tuned for a task: fine-tune it first")
    return task


def run_of(source: PretrainedWeights) -> RunFolder:
    """Return the folder of the run that a checkpoint belongs to. It may not be the folder of a run."""
    return RunFolder(source.path if source.path.is_dir() else source.path.parent.parent)


def _task_name(config: DictConfig, source: PretrainedWeights, task: DictConfig, option: str | None) -> str:
    """Return the name of the task: the option of the group `task`, here or in the run's config, or else the term."""
    if config.task is None:
        return task_name(read_run_config(run_of(source)))
    return str(option or task.term)


def _keep(
    config: DictConfig,
    source: PretrainedWeights,
    task: DictConfig,
    examples: Sequence[Example],
    rows: Sequence[dict[str, Any]],
    about: dict[str, Any],
) -> None:
    """Keep the predictions in the folder of the run, if the weights are those of a run.

    The name of the file is the split. It tells other data than the run's own, and other weights than the last.
    """
    run, weights = run_of(source), source.path.resolve()
    if not run.config.exists() or source.path.parent != run.checkpoints:
        return
    name = [VALIDATION if config.split == task.validation_split else config.split]
    if config.task is not None or config.path is not None:
        name = [about["task"], config.split, data_hash(examples)]
    if weights != (run.checkpoints / LAST).resolve():
        name.append(weights.stem)
    about = {**about, "checkpoint": weights.name}
    changes = not weights.name.startswith("step-")  # best.ckpt changes while the run trains
    path = keep_predictions(run, plain_name(*name), examples, rows, about, replace=changes)
    note_written(None if path is None else str(path))


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
