"""What every kind of labelled example does: row -> example -> tokens -> targets, and scores -> prediction."""

from __future__ import annotations

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
from bert_lightning.data.labelled.encoding import Tokens
from bert_lightning.data.labelled.rows import TABLES, Row, check_mappings, read_table
from bert_lightning.errors import UserError
from bert_lightning.text.json_text import described

Prediction = dict[str, Any]  # plain data; "answer" is what the metrics compare with the example's
SEPARATOR = " ||| "  # between the parts of an example that stands on one line; a tab does it too


@dataclass(frozen=True)
class Example:
    """What is asked, and what is right. Plain data."""

    id: str
    where: str  # of its row, for errors
    inputs: dict[str, Any]
    answer: Any = None  # None where nobody said


class Unit(NamedTuple):
    """What a batch counts: an example with its sequences (one, or several that are decided together)."""

    example: Example
    sequences: list[Tokens]

    @property
    def is_cut(self) -> bool:
        """Whether something of it was left out, beyond the maximal length."""
        return any(tokens.is_cut for tokens in self.sequences)


class Units:
    """The units of a batch. No tuple and no dataclass, so that Lightning passes it along as it is."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units = list(units)

    @property
    def examples(self) -> list[Example]:
        return [unit.example for unit in self.units]


@dataclass(frozen=True)
class Kind(ABC):
    """One way to ask and to answer. Subclasses say how.

    Args:
        columns: the names used here -> the columns of the rows.
        names: value of a label in the rows -> its name; a value without one is its own name.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    parts: ClassVar[tuple[str, ...]] = (
        "text",
    )  # columns that make up the question, in the order in which a line holds them

    def __post_init__(self) -> None:
        check_mappings("task.kind", columns=self.columns, names=self.names)

    def examples(self, rows: Sequence[Row], answered: bool = True, first: int = 0) -> list[Example]:
        """The examples of rows, numbered from `first`; without `answered` their answers are not read."""
        answers: Sequence[Any] = self.answers(rows) if answered else [None] * len(rows)
        return [
            Example(self._id(row, number), row.where, self.inputs(row), answer)
            for number, (row, answer) in enumerate(zip(rows, answers, strict=True), first)
        ]

    def inputs(self, row: Row) -> dict[str, Any]:
        """What is asked, from the columns of `parts`."""
        return {part: self._text(row, part) for part in self.parts}

    @abstractmethod
    def answers(self, rows: Sequence[Row]) -> Sequence[Any]:
        """What is right for each row; UserError where a row does not say."""

    def labels(self, examples: Sequence[Example]) -> list[str]:
        """The classes that occur, sorted; none where the answer is not a class."""
        return []

    def check(self, examples: Sequence[Example], labels: Sequence[str]) -> None:
        """Raises UserError for an answer that is none of the labels."""
        return

    def key(self, row: Row) -> str:
        """By what rows are split into training and validation."""
        return self._text(row, self.parts[0])

    def remarks(self, rows: Sequence[Row]) -> Iterator[str]:
        """Say what a user should know of rows with answers that are read all the same."""
        for part in self.parts:
            yield from remarks.empty_texts(rows, self._column(part), partial(self._text, name=part))
        yield from remarks.swallowed_rows(rows)
        yield from remarks.quoted_values(rows)

    @abstractmethod
    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer, max_length: int) -> list[Unit]:
        """A unit for each example."""

    def training_units(self, units: Sequence[Unit]) -> list[Unit]:
        """What training counts as one, where that is less than an example."""
        return list(units)

    @abstractmethod
    def targets(self, units: Sequence[Unit], labels: Sequence[str]) -> Tensor:
        """What the loss compares the scores with."""

    def places(self, units: Sequence[Unit], length: int) -> Tensor | None:
        """Positions in the flattened batch [B * `length`] that get a score; None for sequences as a whole."""
        return None

    @abstractmethod
    def decode(self, scores: Tensor, units: Sequence[Unit], labels: Sequence[str]) -> list[Prediction]:
        """A prediction for each unit, from the scores of a batch of them."""

    def parse(self, line: str) -> dict[str, Any]:
        """A row from what somebody typed."""
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
        """The rows of a file that asks for answers; None where it holds one text a line."""
        return read_table(path) if path.suffix.lower() in TABLES else None

    @abstractmethod
    def show(self, example: Example, prediction: Prediction) -> str:
        """A prediction for people, on one line or a few."""

    def _column(self, name: str) -> str:
        return self.columns.get(name, name)

    def _value(self, row: Row, name: str) -> Any:
        return row.get(self._column(name))

    def _text(self, row: Row, name: str) -> str:
        return text_of(self._value(row, name), f"{row.where}: column {self._column(name)!r}")

    def _label(self, row: Row) -> str:
        """The label as a file with text alone would hold it: 1, not True or 1.0; without space around it."""
        value, column = self._value(row, "label"), self._column("label")
        if isinstance(value, bool | float) and value == int(value):
            return str(int(value))
        if not isinstance(value, str | int | float):
            several = ": rows with several labels are not supported" if isinstance(value, list) else ""
            raise UserError(f"{row.where}: column {column!r} must hold one label, not {described(value)}{several}")
        if not (label := str(value).strip()):
            raise UserError(f"{row.where}: the label in column {column!r} is empty: give one, or leave the row out")
        return label

    def _id(self, row: Row, number: int) -> str:
        given = row.values.get(self._column("id"))
        return str(number if given is None else given)


def text_of(value: Any, place: str) -> str:
    """Return a text, or a number as a text.

    Raises:
        UserError: if it is anything else. A list is never read as the text of itself.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{place} must hold one text, not {described(value)}")
    return str(value)


def parts_of(line: str) -> list[str]:
    """Return the parts of an example that stands on one line, without space around them."""
    return [part.strip() for part in (line.split("\t") if "\t" in line else line.split(SEPARATOR))]


def unknown_label(example: Example, label: str, labels: Sequence[str]) -> UserError:
    """The error for a label that is none of the known ones."""
    return UserError(f"{example.where}: label {label!r} is not one of the labels ({', '.join(map(repr, labels))})")
