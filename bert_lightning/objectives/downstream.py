"""Objectives of labelled tasks. Each has a head, the scores that it predicts with, and a loss."""

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
    """The objective of a labelled task. Its scores can be computed without labels, for prediction.

    `batch` is a `LabelledBatch`. `positions` and `scores` read neither its labels nor its examples.
    """

    learns_a_head: ClassVar[bool] = True  # True: prediction needs a trained head, not only an encoder

    def count(self, batch: Mapping[str, Any]) -> int:
        """Return the number of targets that the loss is a mean over."""
        return len(batch["labels"])

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Return the scores that the task type decodes into predictions."""
        raise NotImplementedError

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss over the targets."""
        raise NotImplementedError

    def forward(self, hidden: Tensor, encoder: BERT, batch: Mapping[str, Any]) -> Term:
        scores = self.scores(hidden, batch)
        return Term(self.loss(scores, batch["labels"]), scores, batch["labels"])


class SequenceObjective(Downstream):
    """An objective that scores whole inputs. If its head reads [CLS] alone, the last layer computes nothing else."""

    head: SequenceClassificationHead

    def positions(self, batch: Mapping[str, Any]) -> Tensor | None:
        return None if self.head.reads_all else first_tokens(batch)

    def score_sequences(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Return the head's scores of each input, [B, H] at `positions` or [B, S, H] -> [B, C]."""
        scores: Tensor = self.head(hidden if self.head.reads_all else hidden[:, None], batch["attention_mask"])
        return scores


class Classification(SequenceObjective):
    """Classification: one class for each whole input. Devlin et al. 2019, section 4.1.

    Args:
        config: the config of the encoder.
        num_labels: the number of classes.
        class_weights: weights of the classes in the mean loss; None: all equal.
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
        return self.score_sequences(hidden, batch)

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return _weighted_cross_entropy(scores, targets, self.class_weights)


class Regression(SequenceObjective):
    """Regression: a number for each whole input, by squared error, as for STS-B in Devlin et al. 2019, section 4.1."""

    def __init__(self, config: BertConfig, weight: NotNegative = 1.0) -> None:
        super().__init__(weight)
        self.head = SequenceClassificationHead(config, 1)

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        return self.score_sequences(hidden, batch).squeeze(-1)  # [B]

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(scores.float(), targets)


class TokenClassification(Downstream):
    """Token classification: one class for each word, at its first token. Devlin et al. 2019, section 5.3.

    The arguments are those of `Classification`.
    """

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
        positions: Tensor = batch["word_positions"]
        return positions

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        scores: Tensor = self.head(hidden)  # [n, H] -> [n, C]
        return scores

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return _weighted_cross_entropy(scores, targets, self.class_weights)


class SpanExtraction(Downstream):
    """Span extraction: the first and the last token of the answer. Devlin et al. 2019, section 4.2.

    The span of a question without an answer is [CLS] (section 4.3).
    """

    def __init__(self, config: BertConfig, weight: NotNegative = 1.0) -> None:
        super().__init__(weight)
        self.head = SpanHead(config)

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        scores = torch.stack(self.head(hidden), -1)  # [B, S, 2]
        return scores.float().masked_fill(~batch["attention_mask"].bool()[..., None], -torch.inf)

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(scores, targets)  # softmax over S; mean over first and last tokens


class MultipleChoice(SequenceObjective):
    """Multiple choice: one score for each choice, which is read together with its text. Devlin et al. 2019, 4.4.

    The softmax is over the choices of an example.
    """

    def __init__(self, config: BertConfig, weight: NotNegative = 1.0) -> None:
        super().__init__(weight)
        self.head = SequenceClassificationHead(config, 1)

    @property
    def head_type(self) -> None:
        """Return None: one logit of this head means nothing without those of the other choices."""
        return None

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        scores = self.score_sequences(hidden, batch).squeeze(-1).float()  # [B]
        groups = scores.split(batch["group_sizes"].tolist())
        return pad_sequence(list(groups), batch_first=True, padding_value=-torch.inf)  # [units, most choices]

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return mean_cross_entropy(scores, targets)


class Similarity(Downstream):
    """Text similarity: the cosine of the embeddings of two texts. Reimers and Gurevych 2019, section 3.

    The encoder reads the two texts separately.

    Args:
        config: the config of the encoder.
        pooling: function (hidden [B, S, H], mask [B, S]) -> embeddings [B, H].
        criterion: function (embeddings of the first texts, of the second texts, targets) -> loss.
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
        self.head = nn.Identity()  # only the encoder learns
        self.pooling, self.criterion = pooling, criterion

    def vectors(self, hidden: Tensor, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Return the embeddings of the two texts of each unit, scaled to length 1: 2 x [units, H]."""
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
        positive: the least target of a positive pair. Pairs below it have no loss of their own, but their second texts
            are still negatives of other pairs.
    """

    def __init__(self, scale: Positive = 20.0, positive: float = 0.0) -> None:
        self.scale, self.positive = scale, positive

    def __call__(self, left: Tensor, right: Tensor, targets: Tensor) -> Tensor:
        chosen = torch.nonzero(targets >= self.positive).squeeze(-1)
        return mean_cross_entropy(self.scale * left[chosen] @ right.T, chosen)


def _weighted_cross_entropy(scores: Tensor, targets: Tensor, weights: Sequence[float] | None) -> Tensor:
    """Return the mean cross-entropy over the targets, weighted by their classes, [n, C] and [n] -> []."""
    if weights is None:
        return mean_cross_entropy(scores, targets)
    of_class = torch.tensor(weights, dtype=torch.float, device=scores.device)
    losses = F.cross_entropy(scores.float(), targets, weight=of_class, reduction="sum")
    return losses / of_class[targets].sum().clamp(min=torch.finfo(torch.float).tiny)
