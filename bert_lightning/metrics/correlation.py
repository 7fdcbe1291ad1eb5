"""Correlation metrics. They equal SciPy's: NaN if all labels or all predictions are the same."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from bert_lightning.data.labelled.task_types import Example, Prediction
from bert_lightning.metrics.task_metrics import TaskMetric


class Correlations(TaskMetric):
    """The correlations of Pearson and Spearman. GLUE uses them for STS-B."""

    values = ("pearson", "spearman")
    pairs: list[Tensor]  # each [n, 2] float64: predicted, true

    def __init__(self, labels: Sequence[str] = ()) -> None:
        super().__init__(labels)
        self.add_rows("pairs", 2)

    def update(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> None:
        pairs = [(p["answer"], e.answer) for p, e in zip(predictions, examples, strict=True)]
        self.pairs.append(torch.tensor(pairs, dtype=torch.double, device=self.device).view(-1, 2))

    def compute(self) -> dict[str, Tensor]:
        pairs: Tensor = dim_zero_cat(self.pairs)
        # Sort the pairs, so that the rounding of sums does not depend on ranks and batches.
        pairs = torch.tensor(sorted(pairs.tolist()), dtype=torch.double, device=pairs.device).view(-1, 2)
        found, right = pairs.T
        return {"pearson": _pearson(found, right), "spearman": _pearson(_ranks(found), _ranks(right))}


def _pearson(x: Tensor, y: Tensor) -> Tensor:
    """Return the Pearson correlation of two vectors; NaN if one is constant."""
    if len(x) < 2 or (x == x[0]).all() or (y == y[0]).all():
        return torch.tensor(torch.nan, dtype=torch.double)
    x, y = x - x.mean(), y - y.mean()
    correlation: Tensor = (x / x.norm()) @ (y / y.norm())
    return correlation.clamp(-1, 1)


def _ranks(x: Tensor) -> Tensor:
    """Return the rank of each value, from 1. Equal values all get the mean of their ranks."""
    _, group, sizes = x.unique(return_inverse=True, return_counts=True)
    ranks: Tensor = (sizes.cumsum(0) - (sizes - 1) / 2)[group]
    return ranks.double()
