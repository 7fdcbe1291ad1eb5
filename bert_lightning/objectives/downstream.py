"""The objectives of labelled tasks that train a head. Each computes scores for the loss and for predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import SequenceClassificationHead, SpanHead, TokenClassificationHead
from bert_lightning.objectives.base import Objective, Term, first_token_positions
from bert_lightning.objectives.cross_entropy import mean_cross_entropy
from bert_lightning.ranges import NotNegative


class TaskObjective(Objective):
    """The base class of the objectives of labelled tasks. Scores need no labels, so they also serve prediction.

    Batches are a `LabelledBatch`. `positions` and `scores` read neither its labels nor its examples.
    """

    learns_a_head: ClassVar[bool] = True  # False: predictions need no trained head

    def count(self, batch: Mapping[str, Any]) -> int:
        """Return the number of targets over which the loss is a mean."""
        return len(batch["labels"])

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Return the scores of a batch. The task type decodes them into predictions."""
        raise NotImplementedError

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss over the targets."""
        raise NotImplementedError

    def forward(self, hidden: Tensor, encoder: BERT, batch: Mapping[str, Any]) -> Term:
        scores = self.scores(hidden, batch)
        return Term(self.loss(scores, batch["labels"]), scores, batch["labels"])


class SequenceObjective(TaskObjective):
    """Base class of objectives that score sequences. Their head reads the first token, or the mean of all tokens."""

    head: SequenceClassificationHead

    def positions(self, batch: Mapping[str, Any]) -> Tensor | None:
        return None if self.head.reads_all else first_token_positions(batch)

    def score_sequences(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Return the head's scores of each sequence, [B, C]. `hidden` is [B, H] at `positions`, or [B, S, H]."""
        scores: Tensor = self.head(hidden if self.head.reads_all else hidden[:, None], batch["attention_mask"])
        return scores


class Classification(SequenceObjective):
    """Sequence classification: one class for each text or pair of texts. Devlin et al. 2019, section 4.1.

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
    """Sequence regression with the squared error: one number for each text or pair. Devlin et al. 2019, 4.1 (STS-B)."""

    def __init__(self, config: BertConfig, weight: NotNegative = 1.0) -> None:
        super().__init__(weight)
        self.head = SequenceClassificationHead(config, 1)

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        return self.score_sequences(hidden, batch).squeeze(-1)  # [B]

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(scores.float(), targets)


class TokenClassification(TaskObjective):
    """Token classification: one class for each word, predicted at its first token. Devlin et al. 2019, section 5.3.

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


class SpanExtraction(TaskObjective):
    """Span extraction: predict the first and the last token of the answer. Devlin et al. 2019, section 4.2.

    If a question has no answer, [CLS] is both the first and the last token (section 4.3).
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
    """Multiple choice: one score for each pair of text and choice, and a softmax over the choices of an example.

    Devlin et al. 2019, section 4.4.
    """

    def __init__(self, config: BertConfig, weight: NotNegative = 1.0) -> None:
        super().__init__(weight)
        self.head = SequenceClassificationHead(config, 1)

    @property
    def head_type(self) -> None:
        """Return None: a logit of this head has a meaning only beside those of the other choices."""
        return None

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        scores = self.score_sequences(hidden, batch).squeeze(-1).float()  # [B]
        groups = scores.split(batch["group_sizes"].tolist())
        return pad_sequence(list(groups), batch_first=True, padding_value=-torch.inf)  # [units, most choices]

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return mean_cross_entropy(scores, targets)


def _weighted_cross_entropy(scores: Tensor, targets: Tensor, weights: Sequence[float] | None) -> Tensor:
    """Return the mean cross-entropy over the targets, with a weight for each class, [n, C] and [n] -> []."""
    if weights is None:
        return mean_cross_entropy(scores, targets)
    of_class = torch.tensor(weights, dtype=torch.float, device=scores.device)
    losses = F.cross_entropy(scores.float(), targets, weight=of_class, reduction="sum")
    return losses / of_class[targets].sum().clamp(min=torch.finfo(torch.float).tiny)
