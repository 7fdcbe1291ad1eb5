"""One layer of the encoder."""

from __future__ import annotations

from torch import Tensor, nn

from bert_lightning.model.attention import MultiHeadAttention
from bert_lightning.model.config import BertConfig
from bert_lightning.model.layers import LayerNorm, PositionwiseFeedForward


class TransformerBlock(nn.Module):
    """Attention, then feed-forward, each added to its input and normalised after (post-norm), [B, S, H] -> [B, S, H].

    Vaswani et al. 2017, section 3.1; BERT keeps this order.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(config.hidden_size, config.num_attention_heads, config.dropout_rate)
        self.attention_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.feed_forward = PositionwiseFeedForward(config.hidden_size, config.intermediate_size)
        self.output_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
        return self.output_norm(x + self.dropout(self.feed_forward(x)))
