"""What turns hidden states into predictions: one class a head, each with the parameters it alone uses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert_lightning.model.config import BertConfig
from bert_lightning.model.dropout import Dropout
from bert_lightning.model.layers import LayerNorm, initialize


class MaskedLMHead(nn.Module):
    """Scores over the vocabulary, [..., H] -> [..., V]. Devlin et al. 2019, section 3.1, task 1.

    The output matrix is the word embedding table and is passed in, so that tied weights stay one parameter.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        initialize(self, config.initializer_range)

    def forward(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        return F.linear(self.norm(F.gelu(self.transform(hidden))), word_embeddings, self.bias)


class Pooler(nn.Module):
    """The first token's vector through a dense layer and tanh, [B, S, H] -> [B, H]."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        initialize(self, config.initializer_range)

    def forward(self, hidden: Tensor) -> Tensor:
        return torch.tanh(self.dense(hidden[:, 0]))


class NextSentenceHead(nn.Module):
    """Is B what followed A (class 0) or random text (class 1)? [B, S, H] -> [B, 2]. Devlin et al. 2019, 3.1, task 2."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.pooler = Pooler(config)
        self.classifier = nn.Linear(config.hidden_size, 2)
        initialize(self.classifier, config.initializer_range)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.classifier(self.pooler(hidden))


class SequenceClassificationHead(nn.Module):
    """One score a class for the whole input, [B, S, H] -> [B, C]. Devlin et al. 2019, section 4.1."""

    def __init__(self, config: BertConfig, num_labels: int) -> None:
        super().__init__()
        self.pooler = Pooler(config)
        self.dropout = Dropout(config.dropout_rate)
        self.classifier = nn.Linear(config.hidden_size, num_labels)
        initialize(self.classifier, config.initializer_range)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.pooler(hidden)))


class TokenClassificationHead(nn.Module):
    """One score a class for each token, [B, S, H] -> [B, S, C]. Devlin et al. 2019, section 5.3."""

    def __init__(self, config: BertConfig, num_labels: int) -> None:
        super().__init__()
        self.dropout = Dropout(config.dropout_rate)
        self.classifier = nn.Linear(config.hidden_size, num_labels)
        initialize(self.classifier, config.initializer_range)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.classifier(self.dropout(hidden))


class SpanHead(nn.Module):
    """Scores of each token as start and as end of the answer, [B, S, H] -> 2 x [B, S]. Devlin et al. 2019, 4.2."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.classifier = nn.Linear(config.hidden_size, 2)
        initialize(self, config.initializer_range)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        start, end = self.classifier(hidden).unbind(-1)
        return start, end
