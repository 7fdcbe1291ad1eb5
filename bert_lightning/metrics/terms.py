"""Metrics of the terms of an objective: torchmetrics, named by yaml."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from bert_lightning.errors import UserError
from bert_lightning.objectives.base import Term


class Perplexity(MeanMetric):
    """exp(sum of negative log-likelihoods / number of predictions), over everything seen. A mean of the loss, first."""

    def compute(self) -> Tensor:
        return torch.exp(super().compute())


class TermMetrics(nn.Module):
    """For each term its mean loss, and the metrics that yaml gives it.

    Args:
        metrics: term -> name -> metric. A MeanMetric is fed the loss, weighted by its predictions; any other is fed
            scores and targets.
        terms: names of the objective's terms.

    Raises:
        UserError: metrics of a term that the objective does not have.
    """

    def __init__(self, metrics: Mapping[str, Mapping[str, Metric]], terms: Iterable[str]) -> None:
        super().__init__()
        self.terms = nn.ModuleDict({t: nn.ModuleDict({"loss": MeanMetric(), **metrics.get(t, {})}) for t in terms})
        if unknown := [term for term in metrics if term not in self.terms]:
            raise UserError(f"metrics.{unknown[0]}: the objective has no such term, only {', '.join(self.terms)}")

    def names(self) -> list[str]:
        """`term/name` of every value."""
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
        """Values by `term/name`; the counts start again."""
        values = {f"{term}/{name}": metric for term in self.terms for name, metric in self._of(term).items()}
        results = {name: metric.compute() for name, metric in values.items()}
        for metric in values.values():
            metric.reset()
        return results

    def _of(self, term: str) -> dict[str, Metric]:
        return dict(self.terms[term].items())  # type: ignore[operator]
