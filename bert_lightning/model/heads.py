"""Heads: modules that turn hidden states into logits. A head owns the parameters that no other module uses."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert_lightning.model.config import BertConfig
from bert_lightning.model.dropout import Dropout
from bert_lightning.model.layers import ACTIVATIONS, initialize, make_norm
from bert_lightning.model.unpadding.layout import bucket_size


class MaskedLMHead(nn.Module):
    """A masked-language-modeling head: logits over the vocabulary, [..., H] -> [..., V].

    Devlin et al. 2019, section 3.1, task 1. If weights are tied, the output matrix is the word embedding table. The
    caller passes it to `forward`, so it stays one parameter. Otherwise the head has its own `decoder`.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        wide, has_transform = (config.hidden_size, config.embedding_width), config.mlm_transform
        self.transform = nn.Linear(*wide, config.linear_bias) if has_transform else nn.Identity()
        self.activation = ACTIVATIONS[config.activation] if has_transform else nn.Identity()
        self.norm = make_norm(config, config.embedding_width) if has_transform else nn.Identity()
        self.bias = nn.Parameter(torch.zeros(config.vocab_size)) if config.mlm_bias else None
        own = not config.tie_word_embeddings
        self.decoder = nn.Linear(config.embedding_width, config.vocab_size, bias=False) if own else None
        initialize(self, config.initializer_range)

    def forward(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        hidden = self.norm(self.activation(self.transform(hidden)))  # [..., H] -> [..., E]
        return F.linear(hidden, word_embeddings if self.decoder is None else self.decoder.weight, self.bias)

    def padded_logits(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        """Return logits with rows of padding at the end, [M, H] -> [bucket_size(M), V], so that few shapes occur."""
        padding = bucket_size(len(hidden)) - len(hidden)
        logits: Tensor = self(F.pad(hidden, (0, 0, 0, padding)), word_embeddings)
        return logits


class ReplacedTokenHead(nn.Module):
    """A replaced-token-detection head: one logit per token, [..., H] -> [...]. Clark et al. 2020, section 2.

    A logit above 0 means that the token looks replaced.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = nn.Linear(config.hidden_size, config.hidden_size, config.linear_bias)
        self.activation = ACTIVATIONS[config.activation]
        self.classifier = nn.Linear(config.hidden_size, 1)
        initialize(self, config.initializer_range)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.classifier(self.activation(self.transform(hidden))).squeeze(-1)


class Pooler(nn.Module):
    """A pooler: a dense layer and an activation on the first token's hidden state, [B, S, H] -> [B, H]."""

    def __init__(self, config: BertConfig, activation: str = "tanh") -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size, config.linear_bias)
        self.activation = ACTIVATIONS[activation]
        initialize(self, config.initializer_range)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.activation(self.dense(hidden[:, 0]))


class NextSentenceHead(nn.Module):
    """A next-sentence head: logits for "B follows A" (class 0) and "B is random" (class 1), [B, S, H] -> [B, 2].

    Devlin et al. 2019, section 3.1, task 2.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.pooler = Pooler(config)
        self.classifier = nn.Linear(config.hidden_size, 2)
        initialize(self.classifier, config.initializer_range)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.classifier(self.pooler(hidden))


class SequenceClassificationHead(nn.Module):
    """A sequence classification head: one logit per class, [B, S, H] -> [B, C]. Devlin et al. 2019, section 4.1.

    Families of models differ in the input of the dense layer, its activation, and the dropout and norm around it. The
    config selects them.
    """

    def __init__(self, config: BertConfig, num_labels: int) -> None:
        super().__init__()
        self.reads_all = config.classifier_pooling == "mean"
        self.input_dropout = Dropout(config.dropout_rate if config.classifier_input_dropout else 0.0)
        self.pooler = Pooler(config, config.classifier_activation)
        self.norm = make_norm(config, config.hidden_size) if config.classifier_norm else nn.Identity()
        self.dropout = Dropout(config.dropout_rate)
        self.classifier = nn.Linear(config.hidden_size, num_labels)
        initialize(self.classifier, config.initializer_range)

    def forward(self, hidden: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Return the logits of each sequence, [B, S, H] -> [B, C].

        Mean pooling averages the tokens where `attention_mask` [B, S] is not 0, or all tokens if it is None. Without
        mean pooling only [CLS] is used, and S may be 1.
        """
        read = mean_pooling(hidden, attention_mask)[:, None] if self.reads_all else hidden[:, :1]  # [B, 1, H]
        pooled = self.norm(self.pooler(self.input_dropout(read)))  # [B, H]
        return self.classifier(self.dropout(pooled))


class TokenClassificationHead(nn.Module):
    """A token classification head: one logit per class, [B, S, H] -> [B, S, C]. Devlin et al. 2019, section 5.3."""

    def __init__(self, config: BertConfig, num_labels: int) -> None:
        super().__init__()
        self.dropout = Dropout(config.dropout_rate)
        self.classifier = nn.Linear(config.hidden_size, num_labels)
        initialize(self.classifier, config.initializer_range)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.classifier(self.dropout(hidden))


class SpanHead(nn.Module):
    """A span head: for each token a logit to start the answer and one to end it, [B, S, H] -> 2 x [B, S].

    Devlin et al. 2019, section 4.2.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.classifier = nn.Linear(config.hidden_size, 2)
        initialize(self, config.initializer_range)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        start, end = self.classifier(hidden).unbind(-1)
        return start, end


def mean_pooling(hidden: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean hidden state over tokens that are not padding, [B, S, H] -> [B, H]."""
    if mask is None:
        return hidden.mean(1)
    weights = mask.bool()[..., None].to(hidden)
    return (hidden * weights).sum(1) / weights.sum(1)


def max_pooling(hidden: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the largest value of each feature over tokens that are not padding, [B, S, H] -> [B, H]."""
    return (hidden if mask is None else hidden.masked_fill(~mask.bool()[..., None], -torch.inf)).amax(1)


def first_token_pooling(hidden: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the hidden state of [CLS], [B, S, H] -> [B, H]."""
    return hidden[:, 0]


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": mean_pooling,
    "cls": first_token_pooling,
    "max": max_pooling,
}
