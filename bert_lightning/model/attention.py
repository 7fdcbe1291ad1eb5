"""Multi-head scaled dot-product attention among the tokens of each sequence."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert_lightning.model.dropout import keep_mask
from bert_lightning.model.layers import FusedLinear
from bert_lightning.model.positions import rotate
from bert_lightning.model.small_products import default_products
from bert_lightning.model.unpadding.layout import Layout
from bert_lightning.model.unpadding.padded_rows import AttentionGroup, split_tokens


class MultiHeadAttention(nn.Module):
    """Multi-head self-attention: every query attends to the tokens of its own sequence, [T, H] -> [Q, H].

    Vaswani et al. 2017, section 3.2.2. Queries, keys and values come from one matrix product, H -> 3H.
    """

    def __init__(
        self, hidden_size: int, num_attention_heads: int, dropout_rate: float = 0.0, bias: bool = True
    ) -> None:
        super().__init__()
        if hidden_size % num_attention_heads:
            raise ValueError(f"{hidden_size=} must be a multiple of {num_attention_heads=}")
        self.num_attention_heads = num_attention_heads
        self.dropout_rate = dropout_rate
        self.query_key_value = FusedLinear(hidden_size, hidden_size, parts=3, bias=bias)
        self.output = nn.Linear(hidden_size, hidden_size, bias)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        query, key, value = self.project(x, layout)
        context = attend(query, key, value, layout.groups, self.dropout_rate if self.training else 0.0)
        return self.output(context.flatten(1))  # [Q, N, D] -> [Q, H]

    def project(self, x: Tensor, layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries [Q, N, D], keys and values, 2 x [T, N, D]. Rotary positions have rotated queries and keys."""
        query, key, value = self._project(x, layout.at_queries(x))
        if layout.rotation is not None:
            query, key = rotate(query, layout.at_queries(layout.rotation)), rotate(key, layout.rotation)
        return query, key, value

    def _project(self, x: Tensor, asking: Tensor) -> tuple[Tensor, ...]:
        if asking is x:
            return self.query_key_value(x).unflatten(-1, (3, self.num_attention_heads, -1)).unbind(1)
        sizes = [x.size(-1), 2 * x.size(-1)]
        weights = self.query_key_value.weight.split(sizes)
        biases = [None, None] if self.query_key_value.bias is None else self.query_key_value.bias.split(sizes)
        query = F.linear(asking, weights[0], biases[0]).unflatten(-1, (self.num_attention_heads, -1))
        read = F.linear(x, weights[1], biases[1]).unflatten(-1, (2, self.num_attention_heads, -1))
        return query, *read.unbind(1)


def attend(query: Tensor, key: Tensor, value: Tensor, groups: tuple[AttentionGroup, ...], dropout_p: float) -> Tensor:
    """Return the attention output of each query, [Q, N, D] and 2 x [T, N, D] -> [Q, N, D].

    Each group is computed as one padded batch. PyTorch's own attention works on all devices, but with dropout it is
    slow on a CPU. In that case `_DropoutAttention` replaces it. This function has not been run on a GPU yet.
    """
    own = dropout_p > 0 and query.device.type == "cpu"
    counts, key_counts = [group.queries.count for group in groups], [group.keys.count for group in groups]
    queries, keys, values = split_tokens(query, counts), split_tokens(key, key_counts), split_tokens(value, key_counts)
    contexts = []
    for group, q, k, v in zip(groups, queries, keys, values, strict=True):
        if not group.queries.count:
            continue
        q, k, v = (rows.pad(x).transpose(1, 2) for rows, x in ((group.queries, q), (group.keys, k), (group.keys, v)))
        if own:
            context = _DropoutAttention.apply(q, k, v, group.mask, dropout_p)  # type: ignore[no-untyped-call]
        else:
            with default_products(q, k):
                context = F.scaled_dot_product_attention(q, k, v, attn_mask=group.mask, dropout_p=dropout_p)
        contexts.append(group.queries.unpad(context.transpose(1, 2)))  # [n, N, q, D] -> [count, N, D]
    # Filler tokens get an output that is never read. The product by 0 connects it to the autograd graph, so that
    # backward also works for a batch without tokens.
    fillers = 0 * query[sum(counts) :]
    return torch.cat([*contexts, fillers])


class _DropoutAttention(torch.autograd.Function):
    """Attention with dropout on the softmax of Q K^T / sqrt(D), [n, N, q, D] and 2 x [n, N, s, D] -> [n, N, q, D].

    For the backward pass it stores the attention weights before and after dropout, and no other tensor of their size.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, p: float) -> Tensor:
        with torch.autocast(query.device.type, enabled=False):
            q, k, v = (x.flatten(0, 1).contiguous() for x in (query, key, value))
            q = q * q.size(-1) ** -0.5
            weights = torch.bmm(q, k.transpose(1, 2))  # [n * N, q, s]
            if mask is not None:
                lowest = torch.finfo(weights.dtype).min
                bias = torch.zeros(mask.shape, dtype=weights.dtype).masked_fill_(~mask, lowest)
                weights.unflatten(0, query.shape[:2]).add_(bias)
            weights = torch.softmax(weights, -1)
            dropped = keep_mask(weights, p).mul_(weights)
            ctx.save_for_backward(q, k, v, weights, dropped)
            return torch.bmm(dropped, v).unflatten(0, query.shape[:2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, weights, dropped = ctx.saved_tensors
        heads = gradient.shape[:2]
        gradient = gradient.flatten(0, 1)
        to_scores = torch.bmm(gradient, v.transpose(1, 2)).mul_(dropped)
        to_scores.addcmul_(weights, to_scores.sum(-1, keepdim=True), value=-1)  # through the softmax
        to_value = torch.bmm(dropped.transpose(1, 2), gradient)
        to_query = torch.bmm(to_scores, k).mul_(k.size(-1) ** -0.5)
        to_key = torch.bmm(to_scores.transpose(1, 2), q)
        return *(x.unflatten(0, heads) for x in (to_query, to_key, to_value)), None, None
