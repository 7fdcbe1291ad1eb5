"""The span boundary objective: predict masked tokens from the two tokens beside their span."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.layers import ACTIVATIONS, initialize, make_norm
from bert_lightning.objectives.base import Batch, Objective, Term
from bert_lightning.objectives.cross_entropy import mean_cross_entropy
from bert_lightning.ranges import Length, NotNegative


class SpanBoundary(Objective):
    """The span boundary objective: predict each token of a masked span from the two tokens beside the span.

    The head also reads the token's offset in the span. A span is a run of consecutive masked positions. Joshi et al.
    2020, section 3.2; facebookresearch/SpanBERT, `BertPairTargetPredictionHead`.

    Args:
        config: the config of the encoder.
        max_length: the number of offsets that have an embedding. Larger offsets share the last one.
        position_size: the width of the embeddings of offsets.
        weight: factor of this loss.
    """

    reads = ("masked_positions", "masked_labels")

    def __init__(
        self, config: BertConfig, max_length: Length = 20, position_size: Length = 200, weight: NotNegative = 1.0
    ) -> None:
        super().__init__(weight)
        self.head = SpanBoundaryHead(config, max_length, position_size)

    def count(self, batch: Batch) -> int:
        return len(batch["masked_labels"])

    def positions(self, batch: Batch) -> Tensor | None:
        begin, end = spans(batch["masked_positions"])
        return torch.cat([begin - 1, end])  # [2M], the tokens beside each span

    def forward(self, hidden: Tensor, encoder: BERT, batch: Batch) -> Term:
        positions, labels = batch["masked_positions"], batch["masked_labels"]
        left, right = hidden.chunk(2)  # [2M, H] -> 2 x [M, H]
        offsets = positions - spans(positions)[0]
        logits = self.head(left, right, offsets, encoder.embeddings.word.weight)  # [M, V]
        return Term(mean_cross_entropy(logits, labels), logits, labels)


class SpanBoundaryHead(nn.Module):
    """A span boundary head: logits over the vocabulary for masked tokens, 2 x [M, H] and [M] -> [M, V].

    It reads the hidden states of the two tokens beside the span, and the offset of the masked token in the span.
    """

    def __init__(self, config: BertConfig, max_length: int, position_size: int) -> None:
        super().__init__()
        self.position = nn.Embedding(max_length, position_size)
        self.first = nn.Linear(2 * config.hidden_size + position_size, config.hidden_size)
        self.first_norm = make_norm(config, config.hidden_size)
        self.second = nn.Linear(config.hidden_size, config.embedding_width)
        self.second_norm = make_norm(config, config.embedding_width)
        self.activation = ACTIVATIONS[config.activation]
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        initialize(self, config.initializer_range)

    def forward(self, left: Tensor, right: Tensor, offsets: Tensor, word_embeddings: Tensor) -> Tensor:
        offsets = offsets.clamp(max=self.position.num_embeddings - 1)
        x = torch.cat([left, right, self.position(offsets)], dim=-1)
        x = self.first_norm(self.activation(self.first(x)))
        x = self.second_norm(self.activation(self.second(x)))
        return F.linear(x, word_embeddings, self.bias)


def spans(positions: Tensor) -> tuple[Tensor, Tensor]:
    """Return, for each masked position, the first position of its span and the position after the last: 2 x [M].

    `positions` [M] are ascending. A span is a maximal run of consecutive ones. It never crosses rows, because the first
    token of a row is special and never masked.
    """
    starts = F.pad(positions.diff() != 1, (1, 0), value=True)
    if not len(positions):
        return positions, positions
    run = starts.cumsum(0) - 1
    lengths = run.bincount()
    begin = positions[starts][run]
    return begin, begin + lengths[run]
