"""The base class of task types: from rows to examples, tokens and targets, and from scores to predictions."""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from tokenizers import Tokenizer
from torch import Tensor

from bert_lightning.data.labelled import remarks
from bert_lightning.data.labelled.encoding import TokenSequence
from bert_lightning.data.labelled.sources import check_mappings
from bert_lightning.errors import UserError
from bert_lightning.text.files.json_text import described
from bert_lightning.text.files.rows import Row, is_table, read_rows

Prediction = dict[str, Any]  # plain data; the metrics compare its "answer" with the answer of the example
SEPARATOR = " ||| "  # separates the parts of an example that is given on one line, as a tab does


@dataclass(frozen=True)
class Example:
    """One example of a task as plain data: its inputs and the right answer."""

    id: str
    where: str  # place of its row, for error messages
    inputs: dict[str, Any]
    answer: Any = None  # None if it is not known
    numbered: bool = False  # whether the rows have no ids, so that `id` is only the number of the row


class Unit(NamedTuple):
    """An example with its sequences: one, or several from which one prediction is made. A batch consists of units."""

    example: Example
    sequences: list[TokenSequence]

    @property
    def is_cut(self) -> bool:
        """Return whether tokens beyond the maximal length were left out."""
        return any(tokens.is_cut for tokens in self.sequences)


class Units:
    """The units of a batch. The class is neither a tuple nor a dataclass, so that Lightning leaves it unchanged."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units = list(units)

    @property
    def examples(self) -> list[Example]:
        return [unit.example for unit in self.units]


@dataclass(frozen=True)
class TaskType(ABC):
    """A task type: how rows become inputs and targets, and how scores become predictions.

    A task type of your own may add keys to the batch, by `extra_inputs`. Its objective reads them in `scores`.

    Args:
        columns: column name in this program -> column name in the rows.
        names: value of a label in the rows -> name of the label. A value that is not a key is used as its name.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    # Columns of the inputs, in their order on one line.
    parts: ClassVar[tuple[str, ...]] = ("text",)

    def __post_init__(self) -> None:
        check_mappings("task.type", columns=self.columns, names=self.names)

    def examples(self, rows: Sequence[Row], answered: bool = True, first: int = 0) -> list[Example]:
        """Return the examples of rows, numbered from `first`. Their answers are read only if `answered` is true."""
        answers: Sequence[Any] = self.answers(rows) if answered else [None] * len(rows)
        return [
            Example(given or str(number), row.where, self.inputs(row), answer, numbered=not given)
            for number, (row, answer) in enumerate(zip(rows, answers, strict=True), first)
            for given in (self._given_id(row),)
        ]

    def inputs(self, row: Row) -> dict[str, Any]:
        """Return the inputs of an example, from the columns of `parts`."""
        return {part: self._text(row, part) for part in self.parts}

    @abstractmethod
    def answers(self, rows: Sequence[Row]) -> Sequence[Any]:
        """Return the right answer of each row.

        Raises:
            UserError: if a row has no valid answer.
        """

    def labels(self, examples: Sequence[Example]) -> list[str]:
        """Return the classes that occur, sorted; empty if the answer is not a class."""
        return []

    def check(self, examples: Sequence[Example], labels: Sequence[str]) -> None:
        """Check that every answer is among the labels.

        Raises:
            UserError: if an answer is not.
        """
        return

    def key(self, row: Row) -> str:
        """Return the text of a row. Its hash puts the row into training or validation."""
        return self._text(row, self.parts[0])

    def remarks(self, rows: Sequence[Row]) -> Iterator[str]:
        """Yield remarks for the user on labelled rows that are unusual but readable."""
        for part in self.parts:
            yield from remarks.empty_texts(rows, self._column(part), partial(self._text, name=part))
        yield from remarks.swallowed_rows(rows)
        yield from remarks.quoted_values(rows)

    @abstractmethod
    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer, max_length: int) -> list[Unit]:
        """Return one unit for each example."""

    def training_units(self, units: Sequence[Unit]) -> list[Unit]:
        """Return the units for training. They may be smaller than an example."""
        return list(units)

    @abstractmethod
    def targets(self, units: Sequence[Unit], labels: Sequence[str]) -> Tensor:
        """Return the targets of the loss."""

    def word_positions(self, units: Sequence[Unit], length: int) -> Tensor | None:
        """Return the positions in the flattened batch [B * `length`] that get a score; None if sequences get scores."""
        return None

    def extra_inputs(self, units: Sequence[Unit]) -> dict[str, Any]:
        """Return keys that the task type adds to the batch of these units, in training and in prediction.

        Tensors are moved to the device of the encoder. The keys of `LabelledBatch` are taken.
        """
        return {}

    @abstractmethod
    def decode(self, scores: Tensor, units: Sequence[Unit], labels: Sequence[str]) -> list[Prediction]:
        """Return a prediction for each unit of a batch, from the scores of the batch."""

    def prediction_row(self, example: Example, prediction: Prediction) -> dict[str, Any]:
        """Return what a run keeps of a prediction: `gold`, `prediction`, `scores` and more keys, but no inputs.

        `scores` are the probabilities of the classes or choices. They are left out if there are none.
        """
        row = {"gold": example.answer, "prediction": prediction["answer"]}
        return row | {"scores": prediction["probabilities"]} if "probabilities" in prediction else row

    def measured_name(self, task: str) -> str:
        """Return the name of a task's predictions. It contains each setting that changes what is measured."""
        return task

    def breakdown(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, Any]:
        """Return results for groups of examples, which `evaluate` prints; empty if the task type has no groups."""
        return {}

    def parse(self, line: str) -> dict[str, Any]:
        """Return the columns of a row from a line that a user typed.

        Raises:
            UserError: if a part of the example is missing or empty.
        """
        if len(self.parts) == 1:
            return {self._column(self.parts[0]): line.strip()}
        fields = parts_of(line)
        shape = SEPARATOR.join(part.upper() for part in self.parts)
        if len(fields) != len(self.parts):
            raise UserError(f"{line[:60]!r} has {len(fields)} parts: write {shape} (or tabs between them)")
        if not all(fields):
            raise UserError(f"{line[:60]!r} has an empty part: write {shape} (or tabs between them)")
        return dict(zip(map(self._column, self.parts), fields, strict=True))

    def rows_of(self, path: Path) -> Iterator[Row] | None:
        """Return the rows of a file of inputs for prediction; None if the file has one input per line."""
        return read_rows(path) if is_table(path) else None

    @abstractmethod
    def show(self, example: Example, prediction: Prediction) -> str:
        """Return a prediction as text for a reader, on one or a few lines."""

    def _column(self, name: str) -> str:
        return self.columns.get(name, name)

    def _value(self, row: Row, name: str) -> Any:
        return row.get(self._column(name), "task.columns")

    def _text(self, row: Row, name: str) -> str:
        return text_of(self._value(row, name), f"{row.where}: column {self._column(name)!r}")

    def _label(self, row: Row) -> str:
        """Return the label in the form of a text file: 1, not True or 1.0, and without space around it."""
        value, column = self._value(row, "label"), self._column("label")
        if isinstance(value, bool | float) and value == int(value):
            return str(int(value))
        if not isinstance(value, str | int | float):
            several = ": rows with several labels are not supported" if isinstance(value, list) else ""
            raise UserError(f"{row.where}: column {column!r} must hold one label, not {described(value)}{several}")
        if not (label := str(value).strip()):
            raise UserError(f"{row.where}: the label in column {column!r} is empty: give one, or leave the row out")
        return label

    def _given_id(self, row: Row) -> str:
        """Return the id that a row has; an empty text if it has none."""
        given = row.values.get(self._column("id"))
        return "" if given is None else str(given)


def content_hash(content: Any) -> str:
    """Return 12 hexadecimal digits that identify plain data, such as the inputs of an example."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def text_of(value: Any, place: str) -> str:
    """Return a text, or a number as a text.

    Raises:
        UserError: if the value is anything else, such as a list.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{place} must hold one text, not {described(value)}")
    return str(value)


def parts_of(line: str) -> list[str]:
    """Split a line into the parts of an example, without space around them."""
    return [part.strip() for part in (line.split("\t") if "\t" in line else line.split(SEPARATOR))]


def unknown_label(example: Example, label: str, labels: Sequence[str]) -> UserError:
    """Return the error for a label that is not among the known labels."""
    known = ", ".join(map(repr, labels))
    return UserError(
        f"{example.where}: label {label!r} is not one of the labels ({known}): fix it, or rename it by task.type.names"
    )
