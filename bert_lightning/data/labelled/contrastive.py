"""Anchors with their positives and negatives, for training text embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from tokenizers import Tokenizer
from torch import Tensor

from bert_lightning.data.labelled import remarks
from bert_lightning.data.labelled.encoding import TokenSequence, encode
from bert_lightning.data.labelled.rankings import ranking_row
from bert_lightning.data.labelled.task_types import Example, Prediction, TaskType, Unit, text_of
from bert_lightning.errors import UserError
from bert_lightning.text.files.rows import Row
from bert_lightning.text.sentences import clean

ANCHOR, POSITIVE, NEGATIVE = "anchor", "positive", "negative"


@dataclass(frozen=True)
class ContrastivePairs(TaskType):
    """Contrastive pairs: an anchor, a text that belongs to it, and any number of texts that do not.

    The columns are `anchor` and `positive`. A column `negative` has a text or a list of texts, and may be empty.

    Args:
        unsupervised: whether the positive of each anchor is the anchor itself, with other dropout (SimCSE, Gao et al.
            2021, arXiv:2104.08821). There is no column `positive` then.
    """

    unsupervised: bool = False

    parts: ClassVar[tuple[str, ...]] = (ANCHOR, POSITIVE)

    def examples(self, rows: Sequence[Row], answered: bool = True, first: int = 0) -> list[Example]:
        if self.unsupervised and answered:  # a pair that a user asks about has two texts
            twice = ({self._column(POSITIVE): self._value(row, ANCHOR)} for row in rows)
            rows = [Row(row.where, {**row.values, **more}) for row, more in zip(rows, twice, strict=True)]
        found = super().examples(rows, answered, first)
        negatives = self.columns.get(NEGATIVE)
        if answered and negatives not in (None, NEGATIVE) and not any(negatives in row.values for row in rows):
            raise UserError(f"{rows[0].where}: there is no column {negatives!r}: change task.columns.negative")
        return found

    def inputs(self, row: Row) -> dict[str, Any]:
        pair = {part: self._clean(row, self._value(row, part), part) for part in self.parts}
        given = row.values.get(self._column(NEGATIVE))
        several = given if isinstance(given, list) else [] if given is None or given == "" else [given]
        return {**pair, NEGATIVE: [self._clean(row, text, NEGATIVE) for text in several]}

    def _clean(self, row: Row, value: Any, name: str) -> str:
        place = f"{row.where}: column {self._column(name)!r}"
        if not (text := clean(text_of(value, place)).strip()):
            raise UserError(f"{place} has an empty text: give a text, or leave the row out")
        return text

    def answers(self, rows: Sequence[Row]) -> list[None]:
        """Return no answers: which positive is right, the rows say together."""
        return [None] * len(rows)

    def key(self, row: Row) -> str:
        return clean(super().key(row))

    def remarks(self, rows: Sequence[Row]) -> Iterator[str]:
        yield from remarks.swallowed_rows(rows)
        yield from remarks.quoted_values(rows)

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer, max_length: int) -> list[Unit]:
        """Return units with a sequence for the anchor, for the positive, and for each negative."""
        texts = [[e.inputs[ANCHOR], e.inputs[POSITIVE], *e.inputs[NEGATIVE]] for e in examples]
        sequences = iter(encode([text for of_one in texts for text in of_one], tokenizer, max_length))
        return [Unit(e, [next(sequences) for _ in of_one]) for e, of_one in zip(examples, texts, strict=True)]

    def targets(self, units: Sequence[Unit], labels: Sequence[str]) -> Tensor:
        return torch.ones(len(units))  # the cosine of a pair would be 1 at best

    def extra_inputs(self, units: Sequence[Unit]) -> dict[str, Any]:
        """Return `text_ids`, an id for each text, [texts]. Equal texts have equal ids, on all ranks."""
        ids = [_text_id(tokens) for unit in units for tokens in unit.sequences]
        return {"text_ids": torch.tensor(ids)}

    def decode(self, scores: Tensor, units: Sequence[Unit], labels: Sequence[str]) -> list[Prediction]:
        """Return the cosine of each anchor with its positive."""
        return [{"answer": score} for score in scores.double().tolist()]

    def prediction_row(self, example: Example, prediction: Prediction) -> dict[str, Any]:
        return ranking_row(prediction)

    def show(self, example: Example, prediction: Prediction) -> str:
        return f"{prediction['answer']:.3f}\t{example.inputs[ANCHOR]}\t{example.inputs[POSITIVE]}"


def _text_id(tokens: TokenSequence) -> int:
    """Return a number from 0 to 2^63 - 1 that identifies the tokens."""
    return int.from_bytes(hashlib.blake2b(tokens.ids.tobytes(), digest_size=8).digest(), "big") >> 1
