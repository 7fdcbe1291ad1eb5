"""Metrics of the terms of an objective. The config selects them from the classes of torchmetrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from bert_lightning.errors import UserError
from bert_lightning.objectives.base import Term


class Perplexity(MeanMetric):
    """The perplexity of all predictions seen: exp(sum of negative log-likelihoods / number of predictions).

    It is a MeanMetric of the loss. `compute` returns the exponential of the mean.
    """

    def compute(self) -> Tensor:
        return torch.exp(super().compute())


class TermMetrics(nn.Module):
    """The mean loss of each term of an objective, and the metrics that the config adds.

    Args:
        metrics: term -> name -> metric. A MeanMetric receives the loss, weighted by the number of predictions. Any
            other metric receives logits and targets.
        terms: the names of the objective's terms.

    Raises:
        UserError: if `metrics` names a term that the objective does not have.
    """

    def __init__(self, metrics: Mapping[str, Mapping[str, Metric]], terms: Iterable[str]) -> None:
        super().__init__()
        self.terms = nn.ModuleDict({t: nn.ModuleDict({"loss": MeanMetric(), **metrics.get(t, {})}) for t in terms})
        if unknown := [term for term in metrics if term not in self.terms]:
            raise UserError(f"metrics.{unknown[0]}: the objective has no such term, only {', '.join(self.terms)}")

    def names(self) -> list[str]:
        """Return the name of every value, as `term/name`."""
        return [f"{term}/{name}" for term in self.terms for name in self._of(term)]

    def update(self, terms: Mapping[str, Term]) -> None:
        for name, term in terms.items():
            if not term.targets.numel():
                continue
            for metric in self._of(name).values():
                if isinstance(metric, MeanMetric):
                    metric.update(term.loss, weight=term.targets.numel())
                else:
                    metric.update(term.logits, term.targets)

    def compute_and_reset(self) -> dict[str, Tensor]:
        """Return the values by `term/name`, and reset all metrics."""
        values = {f"{term}/{name}": metric for term in self.terms for name, metric in self._of(term).items()}
        results = {name: metric.compute() for name, metric in values.items()}
        for metric in values.values():
            metric.reset()
        return results

    def _of(self, term: str) -> dict[str, Metric]:
        return dict(self.terms[term].items())  # type: ignore[operator]
