"""Objectives of labelled tasks: a head, its scores, and their loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import SequenceClassificationHead, SpanHead, TokenClassificationHead
from bert_lightning.objectives.base import Objective, Term, first_tokens
from bert_lightning.objectives.cross_entropy import mean_cross_entropy
from bert_lightning.ranges import NotNegative, Positive


class Downstream(Objective):
    """An objective whose scores can be had without answers, for prediction.

    `batch` is a `LabelledBatch`; `positions` and `scores` need neither its labels nor its examples.
    """

    learns_a_head: ClassVar[bool] = True  # so an encoder alone does not do

    def count(self, batch: Mapping[str, Any]) -> int:
        """Targets that the loss is a mean over."""
        return len(batch["labels"])

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """What the task's kind decodes."""
        raise NotImplementedError

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Mean over the targets."""
        raise NotImplementedError

    def forward(self, hidden: Tensor, encoder: BERT, batch: Mapping[str, Any]) -> Term:
        scores = self.scores(hidden, batch)
        return Term(self.loss(scores, batch["labels"]), scores, batch["labels"])


class OfSequence(Downstream):
    """Scores of the whole input. Where they read [CLS] alone, the last layer computes nothing else."""

    head: SequenceClassificationHead

    def positions(self, batch: Mapping[str, Any]) -> Tensor | None:
        return None if self.head.reads_all else first_tokens(batch)

    def of_sequences(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """The head's scores of what `positions` asked for, [B, H] or [B, S, H] -> [B, C]."""
        scores: Tensor = self.head(hidden if self.head.reads_all else hidden[:, None], batch["attention_mask"])
        return scores


class Classification(OfSequence):
    """One class for the whole input. Devlin et al. 2019, section 4.1.

    Args:
        config: the encoder's.
        num_labels: classes.
        class_weights: how much an example of each class counts in the mean; None for all the same.
        weight: factor of this loss.
    """

    def __init__(
        self,
        config: BertConfig,
        num_labels: int,
        class_weights: Sequence[float] | None = None,
        weight: NotNegative = 1.0,
    ) -> None:
        super().__init__(weight)
        self.head = SequenceClassificationHead(config, num_labels)
        self.class_weights = class_weights

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        return self.of_sequences(hidden, batch)

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return _weighted_cross_entropy(scores, targets, self.class_weights)


class Regression(OfSequence):
    """A number for the whole input, by squared error, as for STS-B in Devlin et al. 2019, section 4.1."""

    def __init__(self, config: BertConfig, weight: NotNegative = 1.0) -> None:
        super().__init__(weight)
        self.head = SequenceClassificationHead(config, 1)

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        return self.of_sequences(hidden, batch).squeeze(-1)  # [B]

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(scores.float(), targets)


class Tagging(Downstream):
    """A class for each word, at its first token. Devlin et al. 2019, section 5.3. Arguments as in `Classification`."""

    def __init__(
        self,
        config: BertConfig,
        num_labels: int,
        class_weights: Sequence[float] | None = None,
        weight: NotNegative = 1.0,
    ) -> None:
        super().__init__(weight)
        self.head = TokenClassificationHead(config, num_labels)
        self.class_weights = class_weights

    def positions(self, batch: Mapping[str, Any]) -> Tensor:
        places: Tensor = batch["places"]
        return places

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        scores: Tensor = self.head(hidden)  # [n, H] -> [n, C]
        return scores

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return _weighted_cross_entropy(scores, targets, self.class_weights)


class SpanExtraction(Downstream):
    """First and last token of the answer. Devlin et al. 2019, section 4.2; 4.3 with [CLS] for no answer."""

    def __init__(self, config: BertConfig, weight: NotNegative = 1.0) -> None:
        super().__init__(weight)
        self.head = SpanHead(config)

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        scores = torch.stack(self.head(hidden), -1)  # [B, S, 2]
        return scores.float().masked_fill(~batch["attention_mask"].bool()[..., None], -torch.inf)

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(scores, targets)  # over S, the mean of first and last tokens


class MultipleChoice(OfSequence):
    """A score for each continuation, read with its text; the softmax is over the choices. Devlin et al. 2019, 4.4."""

    def __init__(self, config: BertConfig, weight: NotNegative = 1.0) -> None:
        super().__init__(weight)
        self.head = SequenceClassificationHead(config, 1)

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        scores = self.of_sequences(hidden, batch).squeeze(-1).float()  # [B]
        groups = scores.split(batch["group_sizes"].tolist())
        return pad_sequence(list(groups), batch_first=True, padding_value=-torch.inf)  # [units, most choices]

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return mean_cross_entropy(scores, targets)


class Similarity(Downstream):
    """How alike two texts are that were read apart: the cosine of their vectors. Reimers and Gurevych 2019, section 3.

    Args:
        config: the encoder's.
        pooling: (hidden [B, S, H], mask [B, S]) -> [B, H].
        criterion: (vectors of the first texts, of the second, targets) -> loss.
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
        self.head = nn.Identity()  # nothing is learned beside the encoder
        self.pooling, self.criterion = pooling, criterion

    def vectors(self, hidden: Tensor, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """The vectors of the two texts of each unit, at length 1, 2 x [units, H]."""
        pooled = F.normalize(self.pooling(hidden.float(), batch["attention_mask"]), dim=-1)  # [2 units, H]
        return pooled[0::2], pooled[1::2]

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        left, right = self.vectors(hidden, batch)
        return (left * right).sum(-1)  # [units]

    def forward(self, hidden: Tensor, encoder: BERT, batch: Mapping[str, Any]) -> Term:
        left, right = self.vectors(hidden, batch)
        loss = self.criterion(left, right, batch["labels"])
        return Term(loss, (left * right).sum(-1), batch["labels"])


class CosineError:
    """Squared error of the cosine against the target. Reimers and Gurevych 2019, section 3.1, regression.

    Args:
        highest: the target that stands for cosine 1; 0 stands for 0.
    """

    def __init__(self, highest: Positive = 1.0) -> None:
        self.highest = highest

    def __call__(self, left: Tensor, right: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss((left * right).sum(-1), targets / self.highest)


class InBatchContrast:
    """Tell the second text of a pair from those of the other pairs of the batch. Henderson et al. 2017, section 4.4.

    Args:
        scale: factor of the cosines, an inverse temperature.
        positive: pairs with a target below this teach nothing by themselves; their texts still stand among the others.
    """

    def __init__(self, scale: Positive = 20.0, positive: float = 0.0) -> None:
        self.scale, self.positive = scale, positive

    def __call__(self, left: Tensor, right: Tensor, targets: Tensor) -> Tensor:
        chosen = torch.nonzero(targets >= self.positive).squeeze(-1)
        return mean_cross_entropy(self.scale * left[chosen] @ right.T, chosen)


def _weighted_cross_entropy(scores: Tensor, targets: Tensor, weights: Sequence[float] | None) -> Tensor:
    """[n, C] and [n] -> []; divided by the weights of the targets."""
    if weights is None:
        return mean_cross_entropy(scores, targets)
    of_class = torch.tensor(weights, dtype=torch.float, device=scores.device)
    losses = F.cross_entropy(scores.float(), targets, weight=of_class, reduction="sum")
    return losses / of_class[targets].sum().clamp(min=torch.finfo(torch.float).tiny)
