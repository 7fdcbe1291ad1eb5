"""Build a task from its config: its examples, its objective and its metrics."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from itertools import chain
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig
from torch.nn import ModuleDict

from bert_lightning.config.building import build
from bert_lightning.data.labelled.remarks import in_both
from bert_lightning.data.labelled.sources import Source, split_rows, subset
from bert_lightning.data.labelled.task_types import Example, TaskType
from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.objectives.base import JointObjective
from bert_lightning.objectives.downstream import TaskObjective
from bert_lightning.runtime.environment import note
from bert_lightning.tasks.registry import is_registered
from bert_lightning.text.files.rows import Row

if TYPE_CHECKING:  # torchmetrics is slow to import, and predictions need none
    from bert_lightning.metrics import TaskMetric


@dataclass(frozen=True)
class TaskData:
    """The training and validation examples of a run, with their task type and labels."""

    task_type: TaskType
    labels: list[str]
    train: list[Example]
    validation: list[Example]

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that change with any example, answer or label, or their order."""
        sides = [[(example.inputs, example.answer) for example in side] for side in (self.train, self.validation)]
        content = json.dumps([self.labels, sides], sort_keys=True, default=str)
        return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()[:16]


def source_of(task: DictConfig) -> Source:
    """Return the source of a task's rows: files if `task.path` is given, otherwise the Hugging Face hub.

    Raises:
        UserError: if neither is given, or `task.files` does not make a source.
    """
    if task.path is None and task.hub is None:
        raise UserError("task.path has no value: give the file, or the folder, of the task's data")
    source = build(_place(task))
    if not callable(getattr(source, "read", None)):
        raise UserError(
            "task.files builds no source of rows, because it has no _target_: choose a task, such as task=squad"
        )
    made: Source = source
    return made


def task_type_of(task: DictConfig) -> TaskType:
    """Return the task type, built from `task.type`.

    Raises:
        UserError: if `task.type` makes anything else.
    """
    task_type = build(task.type)
    if not isinstance(task_type, TaskType):
        raise UserError("task.type builds no task type: choose a task, such as task=text_classification")
    return task_type


def _place(task: DictConfig) -> DictConfig:
    place: DictConfig = task.hub if task.path is None else task.files
    return place


def split_to_measure(task: DictConfig) -> str:
    """Return the split to evaluate: the test split if the task names one, otherwise the validation split."""
    return "test" if _place(task).splits.get("test") else str(task.validation_split)


def training_data(task: DictConfig, validation_examples: int | None) -> TaskData:
    """Return the training and validation examples of a task. Print a note about each unusual property of the rows.

    The labels are those of `task.labels`, or else of all training rows, even if `task.train_examples` selects only
    some. If validation is a fraction of the training rows, its labels count too: a rare label may occur only there.
    """
    task_type, source = task_type_of(task), source_of(task)
    train_rows, validation_rows = split_rows(source, task.validation_split, task.validation_fraction, task_type.key)
    remarks = in_both(train_rows, validation_rows), task_type.remarks([*train_rows, *validation_rows])
    for remark in (*_several_files(source, ("train", task.validation_split)), *chain(*remarks)):
        note(remark)
    labelled = train_rows if source.has(task.validation_split) else [*train_rows, *validation_rows]
    if validation_examples is not None:
        # The validation rows are sampled at random, because files are often sorted by label.
        few = min(validation_examples, len(validation_rows))
        validation_rows = subset(validation_rows, few, "validation_examples")
    train = task_type.examples(subset(train_rows, task.train_examples))
    validation = task_type.examples(validation_rows)
    labels = _labels(task, task_type, train, labelled)
    for examples in (train, validation):
        task_type.check(examples, labels)
    if len(labels) == 1:
        raise UserError(f"{train[0].where}: all rows have the label {labels[0]!r}: give rows with two labels or more")
    learned = task_type.labels(train)
    if unseen := [label for label in labels if label not in learned]:
        note(f"no training example has the label {', '.join(map(repr, unseen))}: the model cannot learn it")
    return TaskData(task_type, labels, train, validation)


def _several_files(source: Source, splits: Sequence[str]) -> Iterator[str]:
    """Yield a remark for each split with several files: a pattern or folder may match too many."""
    for split in splits:
        if len(files := source.files(split)) > 1:
            yield f"{split} is read from {len(files)} files, {files[0]} to {files[-1]}"


def _labels(task: DictConfig, task_type: TaskType, train: Sequence[Example], rows: Sequence[Row]) -> list[str]:
    """Return the labels of the task's config, or else of all `rows`; none if the task has no classes."""
    learned = task_type.labels(train)
    if not learned and task.labels is not None:
        raise UserError(f"task.labels={list(task.labels)}: this task has no classes, leave it out")
    if not learned:
        return []
    return _given_labels(task.labels) if task.labels is not None else task_type.labels(task_type.examples(rows))


def _given_labels(given: Sequence[str]) -> list[str]:
    if twice := [label for label, count in Counter(given).items() if count > 1]:
        raise UserError(f"task.labels={list(given)} names {twice[0]!r} twice: give each label once")
    return list(given)


def read_examples(task: DictConfig, split: str, task_type: TaskType, limit: int | None) -> list[Example]:
    """Return the examples of one split.

    If the data have no validation split, it is the fraction of the training rows that validated the training.

    Raises:
        UserError: if the data have no such split.
    """
    source = source_of(task)
    rows: list[Row] | None = source.read(split)
    if rows is None and split == task.validation_split:
        rows = split_rows(source, split, task.validation_fraction, task_type.key)[1]
    if rows is None:
        raise UserError(f"the task's data has no split {split!r}: give its file with path=..., or another split")
    for remark in (*_several_files(source, [split]), *task_type.remarks(rows)):
        note(remark)
    return task_type.examples(subset(rows, limit, "max_examples"))


def joint_objective(
    make: Callable[..., TaskObjective],
    term: str,
    labels: Sequence[str],
    config: BertConfig,
    weights: Sequence[float] | None = None,
) -> JointObjective:
    """Return a joint objective with the objective of a task as its only term.

    Args:
        make: function that makes the task's objective; the node `task.objective` builds it.
        term: name of the term.
        labels: names of the classes; empty if the task has none.
        config: config of the encoder.
        weights: class weights, in the order of the labels.

    `num_labels` is given only to an objective that takes it. A user's own objective may need no number of classes.

    Raises:
        UserError: if no module can have the term's name, or the objective cannot serve a task with these classes.
    """
    if not term.isidentifier() or hasattr(ModuleDict, term):
        raise UserError(f"task.term={term!r} must consist of letters, digits and _, and must not be a word of torch")
    of_classes: dict[str, Any] = {}
    if labels and _takes(make, "num_labels"):
        of_classes["num_labels"] = len(labels)
    elif labels and is_registered(make):
        raise UserError(f"task.objective={_name(make)} predicts no classes, but the task has classes: use another one")
    if weights is not None and not _takes(make, "class_weights"):
        raise UserError(f"task.class_weights: task.objective={_name(make)} takes no class_weights: leave them out")
    if weights is not None:
        of_classes["class_weights"] = weights
    return JointObjective(config, {term: partial(make, **of_classes)})


def _takes(make: Callable[..., Any], name: str) -> bool:
    """Return whether a function has a parameter of this name, or takes any."""
    parameters = signature(make).parameters
    return name in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def _name(make: Callable[..., Any]) -> str:
    return str(getattr(getattr(make, "func", make), "__name__", make))


def task_metrics(task: DictConfig, labels: Sequence[str]) -> dict[str, TaskMetric]:
    """Return the metrics of a task by name. An entry set to null is left out."""
    return {name: make(labels) for name, make in build(task.metrics).items() if make is not None}


def class_weights(setting: Any, labels: Sequence[str], examples: Sequence[Example]) -> list[float] | None:
    """Return the class weights, in the order of the labels; None if the setting is None.

    The setting gives a weight for each label, or is `balanced`: n / (classes * count), as in scikit-learn. If all
    entities of a type X are one word, no training word has the tag I-X. It needs no weight, and gets the weight 1.

    Raises:
        UserError: if a label has no valid weight, or no example from which to balance.
    """
    if setting is None:
        return None
    if not labels:
        raise UserError(f"task.class_weights={setting}: this task has no classes, leave it out")
    answers = [e.answer for e in examples]
    counts = Counter(tag for answer in answers for tag in (answer if isinstance(answer, list) else [answer]))
    met = [label for label in labels if counts[label] or not (label.startswith("I-") and f"B-{label[2:]}" in labels)]
    if setting == "balanced":
        if absent := [label for label in met if not counts[label]]:
            raise UserError(f"task.class_weights=balanced: label {absent[0]!r} has no training example")
        total = sum(counts.values())
        return [total / (len(met) * counts[label]) if label in met else 1.0 for label in labels]
    if not isinstance(setting, Mapping | DictConfig) or not set(met) <= set(setting) <= set(labels):
        raise UserError(f"task.class_weights={setting} must be null, balanced, or a weight for each of {met}")
    weights = [setting.get(label, 1.0) for label in labels]
    if (
        not all(isinstance(weight, (int, float)) and 0 <= weight < math.inf for weight in weights)
        or not sum(weights) > 0
    ):
        raise UserError(f"task.class_weights={setting}: weights are finite numbers, 0 or more, and not all 0")
    return [float(weight) for weight in weights]
