"""Counting a step's floating-point operations, PyTorch's fused attention on the CPU included."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

Shape = tuple[int, ...]


def operations_counter() -> FlopCounterMode:
    """Counts the matrix products of what runs inside of it; PyTorch's own leaves out the CPU's fused attention."""
    aten = torch.ops.aten
    return FlopCounterMode(
        display=False,
        custom_mapping={
            aten._scaled_dot_product_flash_attention_for_cpu: _attention,
            aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
        },
    )


def _attention(query: Shape, key: Shape, *_: Any, **__: Any) -> int:
    """Queries times keys, and weights times values; [n, N, q, D] and [n, N, s, D]."""
    sequences, heads, length, width = query
    return 4 * sequences * heads * length * key[2] * width


def _attention_backward(gradient: Shape, query: Shape, key: Shape, *_: Any, **__: Any) -> int:
    """Twice the forward: that the scores are computed again is no work of the model's."""
    return 2 * _attention(query, key)
