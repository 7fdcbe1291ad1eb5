"""The kind whose question is a text, and whose answer is one of some continuations: SWAG (Zellers et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from bert_lightning.data.labelled.encoding import encode
from bert_lightning.data.labelled.kinds import SEPARATOR, Example, Kind, Prediction, Unit, label_text
from bert_lightning.data.labelled.rows import Row
from bert_lightning.errors import UserError


@dataclass(frozen=True)
class Choices(Kind):
    """A text, its possible continuations, and which is right. Columns `text`, those of `choices`, and `label`.

    Args:
        choices: columns of the continuations; the one column of a list of them does too.
        beginning: column of what every continuation begins with, as SWAG has it; None for nothing.
        first_label: the label of the first choice, 0 or 1.
    """

    choices: Sequence[str] = ("choice0", "choice1")
    beginning: str | None = None
    first_label: int = 0

    def inputs(self, row: Row) -> dict[str, Any]:
        if "choices" in row.values:  # typed by somebody
            return {"text": row.get(self.columns.get("text", "text")), "choices": row.get("choices")}
        values = [row.get(name) for name in self.choices]
        options = values[0] if len(values) == 1 and isinstance(values[0], list) else values
        start = "" if self.beginning is None else f"{row.get(self.beginning)} "
        return {"text": str(self._value(row, "text")), "choices": [f"{start}{option}" for option in options]}

    def answers(self, rows: Sequence[Row]) -> list[int]:
        labels = [label_text(self._value(row, "label")) for row in rows]
        counts = [len(self.inputs(row)["choices"]) for row in rows]
        for row, label, count in zip(rows, labels, counts, strict=True):
            if not _fits(label, count, self.first_label):
                first, other = self.first_label, 1 - self.first_label
                shifted = all(_fits(*pair, other) for pair in zip(labels, counts, strict=True))
                mend = f", or set task.kind.first_label={other}" if shifted else ""
                raise UserError(
                    f"{row.where}: label {label!r} must be a number from {first} to {first + count - 1}{mend}"
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
        text, *options = (part.strip() for part in (line.split("\t") if "\t" in line else line.split(SEPARATOR)))
        if len(options) < 2:
            raise UserError(
                f"{line[:60]!r} has {len(options)} choices: write TEXT{SEPARATOR}FIRST{SEPARATOR}SECOND ..."
            )
        return {self.columns.get("text", "text"): text, "choices": options}

    def show(self, example: Example, prediction: Prediction) -> str:
        probability = prediction["probabilities"][prediction["answer"]]
        return f"{prediction['choice']}\t{probability:.3f}\t{example.inputs['text']}"


def _fits(label: str, count: int, first: int) -> bool:
    """Whether a label is the number of one of `count` choices, counted from `first`."""
    return label.isdecimal() and 0 <= int(label) - first < count
