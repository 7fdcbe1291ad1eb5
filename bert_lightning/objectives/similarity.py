"""The text similarity objective for training text embeddings, and its losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.objectives.base import Term
from bert_lightning.objectives.cross_entropy import mean_cross_entropy
from bert_lightning.objectives.downstream import TaskObjective
from bert_lightning.ranges import NotNegative, Positive


class Similarity(TaskObjective):
    """Text similarity: the cosine of the embeddings of two texts. Reimers and Gurevych 2019, section 3.

    The encoder reads the two texts separately. There is no head, so only the encoder is trained.

    Args:
        config: the config of the encoder.
        pooling: function (hidden [B, S, H], mask [B, S]) -> embeddings [B, H].
        criterion: function (embeddings of the first texts, embeddings of the second texts, targets) -> loss.
        weight: factor of this loss.
    """

    learns_a_head = False

    def __init__(
        self,
        config: BertConfig,
        pooling: Callable[[Tensor, Tensor], Tensor],
        criterion: Callable[[Tensor, Tensor, Tensor], Tensor],
        weight: NotNegative = 1.0,
    ) -> None:
        super().__init__(weight)
        self.head = nn.Identity()
        self.pooling, self.criterion = pooling, criterion

    def embed_pairs(self, hidden: Tensor, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Return the embeddings of the two texts of each example, scaled to length 1: 2 x [units, H]."""
        pooled = F.normalize(self.pooling(hidden.float(), batch["attention_mask"]), dim=-1)  # [2 units, H]
        return pooled[0::2], pooled[1::2]

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        left, right = self.embed_pairs(hidden, batch)
        return (left * right).sum(-1)  # [units]

    def forward(self, hidden: Tensor, encoder: BERT, batch: Mapping[str, Any]) -> Term:
        left, right = self.embed_pairs(hidden, batch)
        loss = self.criterion(left, right, batch["labels"])
        return Term(loss, (left * right).sum(-1), batch["labels"])


class CosineError:
    """A regression loss: the squared error of the cosine. Reimers and Gurevych 2019, section 3.1.

    Args:
        highest: the target of cosine 1. The target of cosine 0 is 0.
    """

    def __init__(self, highest: Positive = 1.0) -> None:
        self.highest = highest

    def __call__(self, left: Tensor, right: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss((left * right).sum(-1), targets / self.highest)


class InBatchContrast:
    """A contrastive loss: find the second text of a pair among those of the whole batch. Henderson et al. 2017, 4.4.

    Args:
        scale: factor of the cosines, an inverse temperature.
        positive: the lowest target of a positive pair. A pair with a lower target has no loss, but its second text is a
            negative for other pairs.
    """

    def __init__(self, scale: Positive = 20.0, positive: float = 0.0) -> None:
        self.scale, self.positive = scale, positive

    def __call__(self, left: Tensor, right: Tensor, targets: Tensor) -> Tensor:
        chosen = torch.nonzero(targets >= self.positive).squeeze(-1)
        return mean_cross_entropy(self.scale * left[chosen] @ right.T, chosen)
