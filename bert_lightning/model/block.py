"""One layer of the encoder."""

from __future__ import annotations

from torch import Tensor, nn

from bert_lightning.model.attention import MultiHeadAttention
from bert_lightning.model.config import BertConfig
from bert_lightning.model.dropout import Dropout
from bert_lightning.model.layers import LayerNorm, PositionwiseFeedForward
from bert_lightning.model.layout import Layout


class TransformerBlock(nn.Module):
    """Attention, then feed-forward, each added to its input and normalised after (post-norm), [T, H] -> [Q, H].

    Vaswani et al. 2017, section 3.1; BERT keeps this order. All T tokens are read; the results are those of the
    layout's Q queries, in the last layer the tokens that the loss asks for, else all.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(config.hidden_size, config.num_attention_heads, config.dropout_rate)
        self.attention_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.feed_forward = PositionwiseFeedForward(config.hidden_size, config.intermediate_size)
        self.output_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = Dropout(config.dropout_rate)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        x = self.attention_norm(layout.at_queries(x) + self.dropout(self.attention(x, layout)))
        return self.output_norm(x + self.dropout(self.feed_forward(x)))
