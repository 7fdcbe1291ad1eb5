"""Objectives of labelled tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import SequenceClassificationHead
from bert_lightning.objectives.base import Objective, Term
from bert_lightning.objectives.cross_entropy import mean_cross_entropy


class Classification(Objective):
    """One class for the whole input. Devlin et al. 2019, section 4.1."""

    def __init__(self, config: BertConfig, num_labels: int, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.head = SequenceClassificationHead(config, num_labels)

    def forward(self, hidden: Tensor, encoder: BERT, batch: Mapping[str, Any]) -> Term:
        logits = self.head(hidden)  # [B, C]
        return Term(mean_cross_entropy(logits, batch["labels"]), logits, batch["labels"])
