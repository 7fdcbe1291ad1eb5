"""BERT's two pretraining objectives. Devlin et al. 2019, section 3.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import MaskedLMHead, NextSentenceHead
from bert_lightning.objectives.base import Objective, Term
from bert_lightning.objectives.cross_entropy import mean_cross_entropy


class MaskedLM(Objective):
    """Predict the hidden words; scores are computed at their positions only, [M, V]."""

    def __init__(self, config: BertConfig, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.head = MaskedLMHead(config)

    def positions(self, batch: Mapping[str, Any]) -> Tensor:
        masked: Tensor = batch["masked_positions"]
        return masked

    def forward(self, hidden: Tensor, encoder: BERT, batch: Mapping[str, Any]) -> Term:
        logits = self.head(hidden, encoder.embeddings.word.weight)  # [M, V]
        loss = mean_cross_entropy(logits, batch["masked_labels"])
        return Term(loss, logits, batch["masked_labels"])


class NextSentence(Objective):
    """Tell whether the second segment follows the first (0) or is from another document (1)."""

    def __init__(self, config: BertConfig, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.head = NextSentenceHead(config)

    def positions(self, batch: Mapping[str, Any]) -> Tensor:
        batch_size, length = batch["input_ids"].shape
        return torch.arange(0, batch_size * length, length, device=batch["input_ids"].device)  # each row's first token

    def forward(self, hidden: Tensor, encoder: BERT, batch: Mapping[str, Any]) -> Term:
        logits = self.head(hidden[:, None])  # [B, 1, H] -> [B, 2]
        loss = mean_cross_entropy(logits, batch["next_sentence_label"])
        return Term(loss, logits, batch["next_sentence_label"])
