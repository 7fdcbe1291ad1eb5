"""Multiple choice: select the right one of several continuations of a text, as in SWAG (Zellers et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from bert_lightning.data.labelled.encoding import encode
from bert_lightning.data.labelled.task_types import SEPARATOR, Example, Prediction, TaskType, Unit, parts_of, text_of
from bert_lightning.errors import UserError
from bert_lightning.text.files.rows import Row


@dataclass(frozen=True)
class Choices(TaskType):
    """Multiple choice: a text, its possible continuations, and the label of the right one.

    The columns are `text`, those of `choices`, and `label`.

    Args:
        choices: columns of the continuations, or a single column with a list of them.
        beginning: column with the common beginning of all continuations, as in SWAG; None for no such column.
        first_label: label of the first choice, 0 or 1.
    """

    choices: Sequence[str] = ("choice0", "choice1")
    beginning: str | None = None
    first_label: int = 0

    def inputs(self, row: Row) -> dict[str, Any]:
        if "choices" in row.values:  # the row is a line that a user typed, see `parse`
            values, start = [row.get("choices")], ""
        else:
            values = [row.get(name, "task.type.choices") for name in self.choices]
            start = ""
            if self.beginning is not None:
                start = f"{text_of(row.get(self.beginning, 'task.type.beginning'), row.where)} "
        options = values[0] if len(values) == 1 and isinstance(values[0], list) else values
        texts = [text_of(option, f"{row.where}: choice {number}") for number, option in enumerate(options)]
        return {"text": self._text(row, "text"), "choices": [f"{start}{text}" for text in texts]}

    def answers(self, rows: Sequence[Row]) -> list[int]:
        labels = [self._label(row) for row in rows]
        counts = [len(self.inputs(row)["choices"]) for row in rows]
        for row, label, count in zip(rows, labels, counts, strict=True):
            if not _fits(label, count, self.first_label):
                first, other = self.first_label, 1 - self.first_label
                shifted = all(_fits(*pair, other) for pair in zip(labels, counts, strict=True))
                fix = f", or set task.type.first_label={other}" if shifted else ""
                raise UserError(
                    f"{row.where}: label {label!r} must be a number from {first} to {first + count - 1}{fix}"
                )
        return [int(label) - self.first_label for label in labels]

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer, max_length: int) -> list[Unit]:
        pairs = [(example.inputs["text"], option) for example in examples for option in example.inputs["choices"]]
        sequences = iter(encode(pairs, tokenizer, max_length))
        return [Unit(example, [next(sequences) for _ in example.inputs["choices"]]) for example in examples]

    def targets(self, units: Sequence[Unit], labels: Sequence[str]) -> Tensor:
        return torch.tensor([unit.example.answer for unit in units])

    def decode(self, scores: Tensor, units: Sequence[Unit], labels: Sequence[str]) -> list[Prediction]:
        predictions = []
        for unit, row in zip(units, scores.float().softmax(-1).tolist(), strict=True):
            mine = row[: len(unit.sequences)]
            best = max(range(len(mine)), key=mine.__getitem__)
            predictions.append({"answer": best, "choice": unit.example.inputs["choices"][best], "probabilities": mine})
        return predictions

    def parse(self, line: str) -> dict[str, Any]:
        text, *options = parts_of(line)
        shape = f"TEXT{SEPARATOR}FIRST{SEPARATOR}SECOND ..."
        if len(options) < 2:
            raise UserError(f"{line[:60]!r} has {len(options)} choices: write {shape}")
        if not text or not all(options):
            raise UserError(f"{line[:60]!r} has an empty part: write {shape}")
        return {self._column("text"): text, "choices": options}

    def show(self, example: Example, prediction: Prediction) -> str:
        probability = prediction["probabilities"][prediction["answer"]]
        return f"{prediction['choice']}\t{probability:.3f}\t{example.inputs['text']}"


def _fits(label: str, count: int, first: int) -> bool:
    """Return whether a label is an integer from `first` to `first` + `count` - 1."""
    return label.isdecimal() and 0 <= int(label) - first < count
