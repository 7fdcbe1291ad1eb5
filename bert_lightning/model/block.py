"""The transformer block (one layer of the encoder), in a post-norm and a pre-norm form."""

from __future__ import annotations

from torch import Tensor, nn

from bert_lightning.model.attention import MultiHeadAttention
from bert_lightning.model.config import BertConfig
from bert_lightning.model.dropout import Dropout
from bert_lightning.model.layers import make_feed_forward, make_norm
from bert_lightning.model.unpadding.layout import Layout


class EncoderBlock(nn.Module):
    """Base class of encoder layers, post-norm and pre-norm. Optimizers and sharding find the layers by this class."""


class TransformerBlock(EncoderBlock):
    """A post-norm block: attention and feed-forward, with a norm after each residual sum, [T, H] -> [Q, H].

    Vaswani et al. 2017, section 3.1; BERT keeps this order. Keys and values come from all T tokens. The output has the
    layout's Q queries: in the last layer the tokens that the loss needs, in other layers all tokens.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = _attention(config)
        self.attention_norm = make_norm(config, config.hidden_size)
        self.feed_forward = make_feed_forward(config)
        self.output_norm = make_norm(config, config.hidden_size)
        self.dropout = Dropout(config.dropout_rate)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        x = self.attention_norm(layout.at_queries(x) + self.dropout(self.attention(x, layout)))
        return self.output_norm(x + self.dropout(self.feed_forward(x)))


class PreNormBlock(EncoderBlock):
    """A pre-norm block: a norm before attention and before feed-forward, none after the residual sums.

    Xiong et al. 2020, figure 1. Shapes are as in `TransformerBlock`.
    """

    def __init__(self, config: BertConfig, attention_norm: bool = True) -> None:
        super().__init__()
        self.attention_norm = make_norm(config, config.hidden_size) if attention_norm else nn.Identity()
        self.attention = _attention(config)
        self.feed_forward_norm = make_norm(config, config.hidden_size)
        self.feed_forward = make_feed_forward(config)
        self.dropout = Dropout(config.dropout_rate)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        x = layout.at_queries(x) + self.dropout(self.attention(self.attention_norm(x), layout))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


def make_blocks(config: BertConfig) -> nn.ModuleList:
    """Build one block for each group of layers that share weights, or for each layer if there are no groups."""
    count = config.num_hidden_groups or config.num_hidden_layers
    if config.norm_order == "pre":
        return nn.ModuleList(PreNormBlock(config, i > 0 or config.first_attention_norm) for i in range(count))
    return nn.ModuleList(TransformerBlock(config) for _ in range(count))


def _attention(config: BertConfig) -> MultiHeadAttention:
    return MultiHeadAttention(config.hidden_size, config.num_attention_heads, config.dropout_rate, config.linear_bias)
