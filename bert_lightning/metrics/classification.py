"""Classification metrics from counts of (label, prediction). They equal scikit-learn's, even if classes are missing."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from bert_lightning.data.labelled.minimal_pairs import credit
from bert_lightning.data.labelled.task_types import Example, Prediction
from bert_lightning.errors import UserError
from bert_lightning.metrics.task_metrics import TaskMetric


class _Counted(TaskMetric):
    """Base class that counts how often each class was predicted for each true class."""

    counts: Tensor  # [C, C] int64, true class x predicted class

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__(labels)
        self.index = {label: i for i, label in enumerate(labels)}
        self.add_state("counts", torch.zeros(len(labels), len(labels), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> None:
        right = torch.tensor([self.index[example.answer] for example in examples], device=self.counts.device)
        found = torch.tensor([self.index[p["answer"]] for p in predictions], device=self.counts.device)
        self.counts += multiclass_confusion_matrix(found, right, len(self.index), validate_args=False)

    def _f1(self) -> Tensor:
        """Return the F1 of each class, [C] float64; 0 for a class that is neither true nor predicted anywhere."""
        hits = self.counts.diagonal().double()
        return 2 * hits / (self.counts.sum(0) + self.counts.sum(1)).clamp(min=1)


class Accuracy(TaskMetric):
    """Accuracy: the fraction of correct answers, for answers of any type."""

    values = ("accuracy",)
    right: Tensor
    total: Tensor

    def __init__(self, labels: Sequence[str] = ()) -> None:
        super().__init__(labels)
        self.add_state("right", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> None:
        self.right += sum(p["answer"] == e.answer for p, e in zip(predictions, examples, strict=True))
        self.total += len(examples)

    def compute(self) -> dict[str, Tensor]:
        return {"accuracy": self.right.double() / self.total.clamp(min=1)}


class WordAccuracy(Accuracy):
    """The fraction of the words of all examples that have the right label. A word without a prediction is wrong."""

    def update(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> None:
        for prediction, example in zip(predictions, examples, strict=True):
            self.right += sum(map(operator.eq, prediction["answer"], example.answer))
            self.total += len(example.answer)


class PairAccuracy(TaskMetric):
    """The fraction of pairs whose right member is predicted. A tie counts one half."""

    values = ("accuracy",)
    correct: Tensor
    total: Tensor

    def __init__(self, labels: Sequence[str] = ()) -> None:
        super().__init__(labels)
        self.add_state("correct", torch.tensor(0.0, dtype=torch.double), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> None:
        self.correct += sum(credit(prediction) for prediction in predictions)
        self.total += len(predictions)

    def compute(self) -> dict[str, Tensor]:
        return {"accuracy": self.correct / self.total.clamp(min=1)}


class F1(_Counted):
    """The F1 of one class. GLUE uses it for MRPC and QQP. It is 0 if the class does not occur.

    Args:
        labels: the classes.
        positive: the class to measure.

    Raises:
        UserError: if `positive` is not one of the labels.
    """

    values = ("f1",)

    def __init__(self, labels: Sequence[str], positive: str) -> None:
        super().__init__(labels)
        if positive not in self.index:
            raise UserError(f"task.metrics: positive={positive!r} is not one of the labels ({', '.join(labels)})")
        self.positive = self.index[positive]

    def compute(self) -> dict[str, Tensor]:
        return {"f1": self._f1()[self.positive]}


class MacroF1(_Counted):
    """The mean F1 of all classes that are true or predicted at least once."""

    values = ("macro_f1",)

    def compute(self) -> dict[str, Tensor]:
        seen = (self.counts.sum(0) + self.counts.sum(1)) > 0
        return {"macro_f1": self._f1()[seen].mean() if seen.any() else torch.zeros((), dtype=torch.double)}


class Matthews(_Counted):
    """The Matthews correlation for any number of classes (Gorodkin 2004). GLUE uses it for CoLA.

    It is 0 if all labels or all predictions are the same.
    """

    values = ("matthews",)

    def compute(self) -> dict[str, Tensor]:
        counts = self.counts.double()
        right, found, total = counts.sum(1), counts.sum(0), counts.sum()
        covariance = counts.trace() * total - right @ found
        variances = (total**2 - right @ right) * (total**2 - found @ found)
        return {"matthews": covariance / variances.sqrt() if variances > 0 else torch.zeros_like(covariance)}
