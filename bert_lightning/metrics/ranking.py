"""Measures of rankings, as means over queries."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bert_lightning.data.labelled.rankings import RANKING_MEASURES, ranking_measures
from bert_lightning.data.labelled.task_types import Example, Prediction
from bert_lightning.metrics.task_metrics import TaskMetric


class Ranking(TaskMetric):
    """nDCG@10, MRR@10 and recall of rankings, see `ranking_measures`. Each query counts the same."""

    values = RANKING_MEASURES
    sums: Tensor
    total: Tensor

    def __init__(self, labels: Sequence[str] = ()) -> None:
        super().__init__(labels)
        self.add_state("sums", torch.zeros(len(self.values), dtype=torch.double), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> None:
        for prediction in predictions:
            measures = ranking_measures(prediction["answer"], prediction["relevance"])
            self.sums += torch.tensor([measures[name] for name in self.values], dtype=torch.double).to(self.sums)
            self.total += 1

    def compute(self) -> dict[str, Tensor]:
        return dict(zip(self.values, self.sums / self.total.clamp(min=1), strict=True))
