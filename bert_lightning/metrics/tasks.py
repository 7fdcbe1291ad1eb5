"""Metrics of predictions: one state that ranks can sum or join, and one value or more from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from bert_lightning.data.labelled.kinds import Example, Prediction
from bert_lightning.objectives.base import Term


class TaskMetric(Metric):
    """Measures the answers of predictions against those of their examples.

    Its states add up, or are rows that are joined, so that the values are the same on any number of ranks, in any
    batches. Subclasses add the states, and say what the values are called.

    Args:
        labels: the classes of the task, in the order of their scores; of the metrics of classes.
    """

    full_state_update = False
    values: tuple[str, ...]

    def __init__(self, labels: Sequence[str] = ()) -> None:
        super().__init__()
        self.labels = list(labels)
        self.widths: dict[str, int] = {}

    def add_rows(self, name: str, width: int) -> None:
        """A state of rows, [n, `width`] float64, that is joined over the ranks, also where one has none."""
        self.add_state(name, [], dist_reduce_fx="cat")
        self.widths[name] = width
        self.reset()

    def reset(self) -> None:
        super().reset()
        for name, width in self.widths.items():
            # An empty list has no shape and type, and the ranks' must agree.
            setattr(self, name, [torch.empty(0, width, dtype=torch.double, device=self.device)])

    def update(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> None:
        raise NotImplementedError

    def compute(self) -> dict[str, Tensor]:
        raise NotImplementedError


class TaskMetrics(nn.Module):
    """The mean loss of a term, and the metrics of its task.

    Args:
        term: name of the term.
        metrics: the metrics, under names that serve overrides only; what they measure is called as they say.
    """

    def __init__(self, term: str, metrics: Mapping[str, TaskMetric]) -> None:
        super().__init__()
        self.term = term
        self.loss = MeanMetric()
        self.metrics = nn.ModuleDict(dict(metrics))

    def names(self) -> list[str]:
        """`term/name` of every value."""
        return [f"{self.term}/{name}" for name in ("loss", *(v for metric in self._metrics() for v in metric.values))]

    def update(self, term: Term | None, predictions: Sequence[Prediction], examples: Sequence[Example]) -> None:
        """Count a batch; without its term the loss stays out."""
        if term is not None:
            self.loss.update(term.loss, weight=len(term.targets))
        for metric in self._metrics():
            metric.update(predictions, examples)

    def compute_and_reset(self) -> dict[str, Tensor]:
        """Values by `term/name`; the counts start again."""
        results: dict[str, Any] = {"loss": self.loss.compute()} if self.loss.update_called else {}
        for metric in self._metrics():
            results |= metric.compute()
        for part in (self.loss, *self._metrics()):
            part.reset()
        return {f"{self.term}/{name}": torch.as_tensor(value) for name, value in results.items()}

    def _metrics(self) -> list[TaskMetric]:
        return list(self.metrics.values())  # type: ignore[arg-type]
