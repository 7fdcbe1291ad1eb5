"""Read and select the examples of a probe. They are the same for every encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from omegaconf import DictConfig

from bert_lightning.data.labelled.task_types import Example, TaskType, Unit
from bert_lightning.data.labelled.texts import TextClassification, TextPairRegression
from bert_lightning.data.labelled.words import LabelledWords
from bert_lightning.errors import UserError
from bert_lightning.probes.linear_probe import Classes
from bert_lightning.runtime.environment import note
from bert_lightning.tasks.data import read_examples, training_data
from bert_lightning.text.sentences import hash_fraction

HELD_OUT = 0.2  # share of the distinct training texts that chooses C and the best layer
# Salts of hashes. They differ from 0, which divides training from validation.
_HOLD_OUT_SALT, _SELECT_SALT = 2, 3


@dataclass(frozen=True)
class ProbeExamples:
    """The examples that a probe is trained on, and those that it is measured on."""

    task_type: TaskType
    labels: list[str]
    train: list[Example]
    measured: list[Example]

    @property
    def of_words(self) -> bool:
        """Return whether words have labels. Otherwise texts have them."""
        return isinstance(self.task_type, LabelledWords)


@dataclass(frozen=True)
class Labelled:
    """The words or texts of one side, in the order of their states.

    Args:
        targets: [N] the class of each.
        sentence: [N] the index of its example.
        words: the N words; empty for texts.
    """

    targets: Classes
    sentence: Classes
    words: list[str]


def read_probe_examples(task: DictConfig, split: str | None, max_states: int) -> ProbeExamples:
    """Return the examples of a task: at most `max_states` words or texts of each side.

    Args:
        task: config of the task.
        split: the split that probes are measured on; None: the task's validation split.
        max_states: the number of words or texts of each side at most. Examples are selected by a hash of their text.

    Raises:
        UserError: if the task has no classes of words or texts, or its data cannot be read.
    """
    if task.objective is None:
        raise UserError("this task has no labels to train a probe with: choose another one, such as task=sentiment")
    data = training_data(task, None)
    kind = data.task_type
    if not data.labels or not isinstance(kind, (LabelledWords, TextClassification)) or _is_regression(kind):
        raise UserError(
            f"task.type={type(kind).__name__} has no classes of words or texts, which a probe predicts: choose a task "
            "such as part_of_speech, conll2003 or sentiment"
        )
    measured = data.validation
    if split not in (None, task.validation_split):
        measured = read_examples(task, str(split), kind, None)
        kind.check(measured, data.labels)
        if both := {example.where for example in measured} & {example.where for example in data.train}:
            note(
                f"{len(both)} of the {len(measured)} measured rows train the probe too: what is measured is no estimate"
            )
    size = _num_words if isinstance(kind, LabelledWords) else _one
    return ProbeExamples(
        kind, data.labels, *(select_examples(side, max_states, size) for side in (data.train, measured))
    )


def select_examples(examples: Sequence[Example], most: int, size: Callable[[Example], int]) -> list[Example]:
    """Return examples with a total size of at most `most`, but at least one. They are selected by a hash of their text.

    The examples keep their order.
    """
    if sum(map(size, examples)) <= most:
        return list(examples)
    order = sorted(range(len(examples)), key=lambda i: hash_fraction([_text(examples[i])], salt=_SELECT_SALT))
    total = np.cumsum([size(examples[i]) for i in order])
    chosen = order[: max(1, int((total <= most).sum()))]
    return [examples[i] for i in sorted(chosen)]


def held_out_examples(examples: Sequence[Example]) -> npt.NDArray[np.bool_]:
    """Return whether each example is held out of the training of a probe, to choose its settings.

    It is a fifth of the distinct texts, those with the lowest hash. So examples with the same text stay together.

    Raises:
        UserError: if there are fewer than two distinct texts.
    """
    hashes = np.array([hash_fraction([_text(example)], salt=_HOLD_OUT_SALT) for example in examples])
    distinct = np.unique(hashes)
    if len(distinct) < 2:
        raise UserError(f"{examples[0].where}: a probe needs two different training texts or more: give more rows")
    last = distinct[max(1, round(HELD_OUT * len(distinct))) - 1]
    return np.asarray(hashes <= last)


def encoded_by_all(units: Sequence[list[Unit]]) -> list[list[Unit]]:
    """Return the units of each encoder, without the words that have no token for some encoder.

    Such a word is cut off, or consists of control characters. A word that is left out has -1 in `first`.
    """
    common = [np.stack([unit.sequences[0].first for unit in same]).min(0) >= 0 for same in zip(*units, strict=True)]

    def limited(unit: Unit, known: npt.NDArray[np.bool_]) -> Unit:
        tokens = unit.sequences[0]
        return Unit(unit.example, [replace(tokens, first=np.where(known, tokens.first, np.int32(-1)))])

    return [[limited(*pair) for pair in zip(own, common, strict=True)] for own in units]


def labelled(examples: ProbeExamples, units: Sequence[Unit]) -> Labelled:
    """Return the classes of the words or texts of one side, from the units of any encoder."""
    targets = examples.task_type.targets(units, examples.labels).numpy()
    if not examples.of_words:
        return Labelled(targets, np.arange(len(units)), [])
    known = [unit.sequences[0].first >= 0 for unit in units]
    words = [w for unit, has in zip(units, known, strict=True) for w, k in zip(_words(unit), has, strict=True) if k]
    return Labelled(targets, np.repeat(np.arange(len(units)), [int(has.sum()) for has in known]), words)


def _is_regression(task_type: TaskType) -> bool:
    return isinstance(task_type, TextPairRegression)


def _num_words(example: Example) -> int:
    return len(example.inputs["words"])


def _one(example: Example) -> int:
    return 1


def _words(unit: Unit) -> list[str]:
    words: list[str] = unit.example.inputs["words"]
    return words


def _text(example: Example) -> str:
    return str(example.inputs["text"])
