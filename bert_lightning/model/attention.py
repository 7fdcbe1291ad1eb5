"""Scaled dot-product attention over several heads."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    """Every position reads from every position that the mask leaves, [B, S, H] -> [B, S, H].

    Vaswani et al. 2017, section 3.2.2. Queries, keys and values come from one product, H -> 3H.
    """

    def __init__(self, hidden_size: int, num_attention_heads: int, dropout_rate: float = 0.0) -> None:
        super().__init__()
        if hidden_size % num_attention_heads:
            raise ValueError(f"{hidden_size=} must be a multiple of {num_attention_heads=}")
        self.num_attention_heads = num_attention_heads
        self.dropout_rate = dropout_rate
        self.query_key_value = nn.Linear(hidden_size, 3 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask` is True where a key may be read and broadcasts to [B, N, S, S]; None reads every key."""
        heads = self.query_key_value(x).unflatten(-1, (3, self.num_attention_heads, -1))  # [B, S, 3, N, D]
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # 3 x [B, N, S, D]
        dropout_p = self.dropout_rate if self.training else 0.0
        context = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout_p)
        return self.output(context.transpose(1, 2).flatten(2))  # [B, N, S, D] -> [B, S, H]
