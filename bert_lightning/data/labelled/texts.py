"""Task types that read a text or a pair of texts: classification, regression and similarity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any, ClassVar

import torch
from tokenizers import Tokenizer
from torch import Tensor

from bert_lightning.data.labelled import remarks
from bert_lightning.data.labelled.encoding import encode
from bert_lightning.data.labelled.task_types import Example, Prediction, TaskType, Unit, unknown_label
from bert_lightning.errors import UserError
from bert_lightning.text.files.rows import Row
from bert_lightning.text.sentences import clean


@dataclass(frozen=True)
class TextClassification(TaskType):
    """Text classification: a text and its class. The columns are `text` and `label`."""

    def inputs(self, row: Row) -> dict[str, Any]:
        return {part: clean(text) for part, text in super().inputs(row).items()}

    def key(self, row: Row) -> str:
        return clean(super().key(row))

    def answers(self, rows: Sequence[Row]) -> list[str]:
        values = [self._label(row) for row in rows]
        return [self.names.get(value, value) for value in values]

    def remarks(self, rows: Sequence[Row]) -> Iterator[str]:
        yield from super().remarks(rows)
        yield from remarks.spaces_around(rows, self._column("label"), lambda row: self._value(row, "label"))
        for group in remarks.alike(sorted(set(self.answers(rows)))):
            yield f"labels {' and '.join(map(repr, group))} are classes of their own: if not, set task.type.names"

    def labels(self, examples: Sequence[Example]) -> list[str]:
        found = {example.answer for example in examples}
        if same := remarks.one_number(sorted(found)):
            where = next(example.where for example in examples if example.answer == same[1])
            raise UserError(
                f"{where}: labels {same[0]!r} and {same[1]!r} are one number: write it in one way, or give both one "
                "name by task.type.names"
            )
        return sorted(found, key=lambda label: (len(label), label) if label.isdigit() else (1 << 30, label))

    def check(self, examples: Sequence[Example], labels: Sequence[str]) -> None:
        for example in examples:
            if example.answer not in labels:
                raise unknown_label(example, example.answer, labels)

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer, max_length: int) -> list[Unit]:
        sequences = encode([self._input(example) for example in examples], tokenizer, max_length)
        return [Unit(example, [tokens]) for example, tokens in zip(examples, sequences, strict=True)]

    def targets(self, units: Sequence[Unit], labels: Sequence[str]) -> Tensor:
        return torch.tensor([labels.index(unit.example.answer) for unit in units])

    def decode(self, scores: Tensor, units: Sequence[Unit], labels: Sequence[str]) -> list[Prediction]:
        return [
            {
                "answer": labels[max(range(len(row)), key=row.__getitem__)],
                "probabilities": dict(zip(labels, row, strict=True)),
            }
            for row in scores.float().softmax(-1).tolist()
        ]

    def show(self, example: Example, prediction: Prediction) -> str:
        answer = prediction["answer"]
        return f"{answer}\t{prediction['probabilities'][answer]:.3f}\t{_joined(example)}"

    def _input(self, example: Example) -> str | tuple[str, str]:
        return str(example.inputs["text"])


@dataclass(frozen=True)
class PairClassification(TextClassification):
    """Text pair classification: two texts and the class of the pair. The columns are `text`, `text_pair`, `label`."""

    parts: ClassVar[tuple[str, ...]] = ("text", "text_pair")

    def _input(self, example: Example) -> tuple[str, str]:
        return example.inputs["text"], example.inputs["text_pair"]


@dataclass(frozen=True)
class TextPairRegression(PairClassification):
    """Text pair regression: two texts in one sequence, and a number for the pair.

    The columns are `text`, `text_pair` and `label`.
    """

    def answers(self, rows: Sequence[Row]) -> list[Any]:
        return [_as_number(row, self._value(row, "label")) for row in rows]

    def remarks(self, rows: Sequence[Row]) -> Iterator[str]:
        return TaskType.remarks(self, rows)

    def labels(self, examples: Sequence[Example]) -> list[str]:
        return []

    def check(self, examples: Sequence[Example], labels: Sequence[str]) -> None:
        """Accept all answers, because every number is valid."""

    def targets(self, units: Sequence[Unit], labels: Sequence[str]) -> Tensor:
        return torch.tensor([unit.example.answer for unit in units], dtype=torch.float)

    def decode(self, scores: Tensor, units: Sequence[Unit], labels: Sequence[str]) -> list[Prediction]:
        return [{"answer": score} for score in scores.double().tolist()]

    def show(self, example: Example, prediction: Prediction) -> str:
        return f"{prediction['answer']:.3f}\t{_joined(example)}"


@dataclass(frozen=True)
class TextPairSimilarity(TextPairRegression):
    """Text pair similarity: two texts, each in a separate sequence, and a number for how similar they are.

    The columns are `text`, `text_pair` and `label`.
    """

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer, max_length: int) -> list[Unit]:
        left = encode([example.inputs["text"] for example in examples], tokenizer, max_length)
        right = encode([example.inputs["text_pair"] for example in examples], tokenizer, max_length)
        return [Unit(example, [a, b]) for example, a, b in zip(examples, left, right, strict=True)]


def _joined(example: Example) -> str:
    return "\t".join(example.inputs.values())


def _as_number(row: Row, value: Any) -> float:
    try:
        number = nan if "_" in str(value) else float(value)  # float("1_0") is 10
    except (TypeError, ValueError, OverflowError):
        number = nan
    if not isfinite(number):  # float("nan") is a number, but the loss would be NaN
        raise UserError(f"{row.where}: the label {value!r} must be a number: fix it, or leave the row out")
    return number
