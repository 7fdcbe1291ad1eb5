"""Check the texts that a Python program gives, before anything is computed."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bert_lightning.data.labelled.task_types import TaskType
from bert_lightning.data.labelled.words import LabelledWords
from bert_lightning.errors import UserError
from bert_lightning.tasks.input_lines import valid
from bert_lightning.text.files.rows import Row


@dataclass(frozen=True)
class Given:
    """The items that a caller gave, and whether it gave one item instead of a list."""

    items: list[Any]
    is_one: bool
    name: str  # name of the argument, for messages

    @classmethod
    def of(cls, given: Any, name: str, one: tuple[type, ...] = (str,)) -> Given:
        """Return the items of an argument.

        Args:
            given: one item, or a list, an array or another iterable of items.
            name: the name of the argument.
            one: the types of an item. Any other iterable is a list of items.

        Raises:
            UserError: if it is neither.
        """
        if isinstance(given, one):
            return cls([given], True, name)
        if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
            raise UserError(f"{name} is {_shown(given)}: give a text or a list of texts")
        return cls(list(given), False, name)

    @classmethod
    def texts(cls, given: Any, name: str = "texts") -> Given:
        """Return texts.

        Raises:
            UserError: if an item is no text, or is empty.
        """
        found = cls.of(given, name)
        for number, item in enumerate(found.items):
            check_text(item, found.place(number))
        return found

    def place(self, number: int) -> str:
        """Return the place of an item, for messages."""
        return self.name if self.is_one else f"{self.name}[{number}]"

    def shaped(self, results: Sequence[Any]) -> Any:
        """Return the result of the only item if the caller gave one item, or else the results of all."""
        return results[0] if self.is_one else results


def check_text(item: Any, place: str) -> None:
    """Check one text.

    Raises:
        UserError: if it is no text, is empty, or is not valid Unicode.
    """
    if not isinstance(item, str):
        raise UserError(f"{place} is {_shown(item)}: give a text")
    if not item.strip():
        raise UserError(f"{place} is empty: give a text, or leave it out")
    valid(item)


def task_rows(given: Given, task_type: TaskType) -> list[Row]:
    """Return the inputs of a task as rows.

    An item is a text as on the command line, a tuple of the task's parts, a mapping of the task's columns, or a list of
    words if the task labels words.

    Raises:
        UserError: if an item is anything else, or lacks a part.
    """
    return [Row(given.place(i), _values(item, given.place(i), task_type)) for i, item in enumerate(given.items)]


def question_rows(question: Any, context: Any, task_type: TaskType) -> tuple[Given, list[Row]]:
    """Return questions and their contexts as rows. One question or one context may go with a list of the other.

    Raises:
        UserError: if there are not as many contexts as questions.
    """
    questions, contexts = Given.texts(question, "question"), Given.texts(context, "context")
    count = len((contexts if questions.is_one else questions).items)
    given = Given([None] * count, questions.is_one and contexts.is_one, "question")
    columns = [each.items * (count if each.is_one else 1) for each in (questions, contexts)]
    if len(columns[0]) != len(columns[1]):
        raise UserError(
            f"there are {len(columns[0])} questions and {len(columns[1])} contexts: give one context for each "
            "question, or one for all"
        )
    names = _columns(task_type)
    pairs = zip(*columns, strict=True)
    return given, [Row(given.place(i), dict(zip(names, pair, strict=True))) for i, pair in enumerate(pairs)]


def _values(item: Any, place: str, task_type: TaskType) -> Mapping[str, Any]:
    parts = task_type.parts
    if isinstance(item, Mapping):
        return item
    if isinstance(item, list) and isinstance(task_type, LabelledWords):
        return dict.fromkeys(_columns(task_type), item)
    if isinstance(item, tuple):
        if len(item) != len(parts):
            raise UserError(f"{place} has {len(item)} parts: give ({', '.join(parts)})")
        for part, value in zip(parts, item, strict=True):
            check_text(value, f"{place}, {part},")
        return dict(zip(_columns(task_type), item, strict=True))
    check_text(item, place)
    try:
        return task_type.parse(item)
    except UserError as error:
        raise UserError(f"{place}: {error}") from None


def _columns(task_type: TaskType) -> list[str]:
    """Return the column of each part in the rows that the task reads."""
    return [task_type.columns.get(part, part) for part in task_type.parts]


def _shown(value: Any) -> str:
    return f"{reprlib.repr(value)}, of type {type(value).__name__}"
