"""Compute the encoder over padded batches with plain operations on tensors, so that exporters can trace it.

The encoder of `model/` computes without padding. Its operations depend on the values of the mask, and a traced program
cannot hold these. Here every step has the shape [B, S, ...]. The parameters are those of the encoder.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert_lightning.model.attention import MultiHeadAttention
from bert_lightning.model.encoder import BERT
from bert_lightning.model.positions import rotate, rotation


@dataclass(frozen=True)
class _PaddedBatch:
    """The inputs of a block beside the hidden states. It stands for `Layout` of `model/unpadding/layout.py`.

    `bias`, [B, 1, 1, S] or [B, 1, S, S], is added to the attention scores. `rotation` [S, 2, D / 2] rotates queries
    and keys.
    """

    bias: Tensor
    rotation: Tensor | None

    def at_queries(self, x: Tensor) -> Tensor:
        """Return all hidden states. Every token is a query here."""
        return x


class _PaddedAttention(nn.Module):
    """The attention of a block over a padded batch, [B, S, H] -> [B, S, H], with the parameters of `attention`."""

    def __init__(self, attention: MultiHeadAttention) -> None:
        super().__init__()
        self.query_key_value, self.output = attention.query_key_value, attention.output
        self.num_attention_heads = attention.num_attention_heads

    def forward(self, x: Tensor, batch: _PaddedBatch) -> Tensor:
        # A fixed head width lets exporters keep the number of tokens open.
        width = x.size(-1) // self.num_attention_heads
        query, key, value = self.query_key_value(x).unflatten(-1, (3, self.num_attention_heads, width)).unbind(-3)
        if batch.rotation is not None:
            query, key = rotate(query, batch.rotation), rotate(key, batch.rotation)
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))  # [B, N, S, D]
        context = F.scaled_dot_product_attention(query, key, value, attn_mask=batch.bias)
        found: Tensor = self.output(context.transpose(1, 2).flatten(2))
        return found


class PaddedEncoder(nn.Module):
    """An encoder that computes padding too, [B, S] -> [B, S, H]. At real tokens it equals the encoder it is made from.

    At padding its values mean nothing. Each row of a batch is one sequence: packed rows are not supported.
    """

    def __init__(self, encoder: BERT) -> None:
        super().__init__()
        self.config = encoder.config
        self.embeddings, self.norm = encoder.embeddings, encoder.norm
        self.blocks = nn.ModuleList(map(_padded_block, encoder.blocks))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Return the hidden states.

        Args:
            input_ids: [B, S] int64, token ids.
            attention_mask: [B, S] int64, 0 at padding and 1 at real tokens.
            token_type_ids: [B, S] int64, the segment of each token; all 0 if None.
        """
        columns = torch.arange(input_ids.size(1), device=input_ids.device)
        # Positions count from the first real token, since padding may come before the text.
        positions = (columns - attention_mask.argmax(1, keepdim=True)).clamp(min=0)
        x = self.embeddings(input_ids, token_type_ids, positions)
        everywhere, nearby = self._batches(attention_mask, columns)
        layers = self.config.num_hidden_layers
        for layer in range(layers):
            block = self.blocks[layer * len(self.blocks) // layers]  # neighbouring layers may share a block
            x = block(x, nearby if self.config.is_local(layer) else everywhere)
        states: Tensor = self.norm(x)
        return states

    def _batches(self, mask: Tensor, columns: Tensor) -> tuple[_PaddedBatch, _PaddedBatch]:
        """Return what layers with global and with local attention need."""
        config = self.config
        readable = nearby = mask.bool()[:, None, None]  # [B, 1, 1, S]
        if config.local_window is not None:
            distance = (columns[:, None] - columns).abs()
            nearby = readable & (distance <= config.local_window // 2)  # [B, 1, S, S]
        global_angles = local_angles = None
        if config.positions == "rotary":
            local_theta = config.rope_theta if config.local_rope_theta is None else config.local_rope_theta
            global_angles = rotation(columns, config.head_width, config.rope_theta)
            local_angles = rotation(columns, config.head_width, local_theta)
        return _PaddedBatch(_bias(readable), global_angles), _PaddedBatch(_bias(nearby), local_angles)


def _padded_block(block: nn.Module) -> nn.Module:
    """Return a copy of a block with the same parameters and with attention over padded batches."""
    copied = copy.copy(block)
    attention = block.get_submodule("attention")
    assert isinstance(attention, MultiHeadAttention), "blocks of the encoder have no other attention"
    copied._modules = {**block._modules, "attention": _PaddedAttention(attention)}
    return copied


def _bias(readable: Tensor) -> Tensor:
    """Return 0 where a token attends and the lowest number elsewhere, [B, 1, ...] bool -> float32.

    The number is finite, since a softmax of only infinite scores is NaN. Tokens of padding may read no token.
    """
    lowest = torch.finfo(torch.float32).min
    return torch.zeros(readable.shape, device=readable.device).masked_fill(~readable, lowest)
