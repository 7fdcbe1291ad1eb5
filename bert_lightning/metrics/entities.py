"""Entity-level precision, recall and F1, counted as in conlleval and seqeval."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bert_lightning.data.labelled.conll import entities
from bert_lightning.data.labelled.task_types import Example, Prediction
from bert_lightning.metrics.task_metrics import TaskMetric


class EntityF1(TaskMetric):
    """Precision, recall and F1 of entities. An entity is correct if its type, first word and last word are correct.

    Source: Tjong Kim Sang and De Meulder 2003, section 2.4.
    """

    values = ("precision", "recall", "f1")
    counts: Tensor  # [3] int64: number of correct, predicted and true entities

    def __init__(self, labels: Sequence[str] = ()) -> None:
        super().__init__(labels)
        self.add_state("counts", torch.zeros(3, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> None:
        for prediction, example in zip(predictions, examples, strict=True):
            found, right = entities(prediction["answer"]), entities(example.answer)
            self.counts += torch.tensor([len(found & right), len(found), len(right)], device=self.counts.device)

    def compute(self) -> dict[str, Tensor]:
        hits, found, right = self.counts.double()
        return {
            "precision": hits / found.clamp(min=1),
            "recall": hits / right.clamp(min=1),
            "f1": 2 * hits / (found + right).clamp(min=1),
        }
