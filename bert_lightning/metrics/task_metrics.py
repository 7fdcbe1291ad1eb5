"""Metrics of predictions. Each returns one value or several. Ranks sum or concatenate its states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from bert_lightning.data.labelled.task_types import Example, Prediction
from bert_lightning.objectives.base import Term


class TaskMetric(Metric):
    """Base class of metrics that compare predicted answers with the answers of the examples.

    The states are sums, or rows that are concatenated over ranks. So the values do not depend on the number of ranks or
    on the batches. Subclasses add the states and name the values.

    Args:
        labels: the classes of the task in the order of their scores, for classification metrics.
    """

    full_state_update = False
    values: tuple[str, ...]

    def __init__(self, labels: Sequence[str] = ()) -> None:
        super().__init__()
        self.labels = list(labels)
        self.widths: dict[str, int] = {}

    def add_rows(self, name: str, width: int) -> None:
        """Add a state of rows, [n, `width`] float64. Ranks concatenate their rows, even if a rank has none."""
        self.add_state(name, [], dist_reduce_fx="cat")
        self.widths[name] = width
        self.reset()

    def reset(self) -> None:
        super().reset()
        for name, width in self.widths.items():
            # Shape and dtype must be equal on all ranks, but an empty list has none.
            setattr(self, name, [torch.empty(0, width, dtype=torch.double, device=self.device)])

    def update(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> None:
        raise NotImplementedError

    def compute(self) -> dict[str, Tensor]:
        raise NotImplementedError


class TaskMetrics(nn.Module):
    """The mean loss of one term of an objective, and the metrics of its task.

    Args:
        term: the name of the term.
        metrics: name -> metric. Only config overrides use these names; each metric names its own values.
    """

    def __init__(self, term: str, metrics: Mapping[str, TaskMetric]) -> None:
        super().__init__()
        self.term = term
        self.loss = MeanMetric()
        self.metrics = nn.ModuleDict(dict(metrics))

    def names(self) -> list[str]:
        """Return the name of every value, as `term/name`."""
        return [f"{self.term}/{name}" for name in ("loss", *(v for metric in self._metrics() for v in metric.values))]

    def update(self, term: Term | None, predictions: Sequence[Prediction], examples: Sequence[Example]) -> None:
        """Add a batch to the metrics. If `term` is None, the batch has no loss to add."""
        if term is not None:
            self.loss.update(term.loss, weight=len(term.targets))
        for metric in self._metrics():
            metric.update(predictions, examples)

    def compute_and_reset(self) -> dict[str, Tensor]:
        """Return the values by `term/name`, and reset all metrics."""
        results: dict[str, Any] = {"loss": self.loss.compute()} if self.loss.update_called else {}
        for metric in self._metrics():
            results |= metric.compute()
        for part in (self.loss, *self._metrics()):
            part.reset()
        return {f"{self.term}/{name}": torch.as_tensor(value) for name, value in results.items()}

    def _metrics(self) -> list[TaskMetric]:
        return list(self.metrics.values())  # type: ignore[arg-type]
