"""Turn off single optimizations of our training step, to measure the effect of each.

The fused product of queries, keys and values is part of the architecture, so it cannot be turned off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from bert_lightning.model import attention, dropout
from bert_lightning.runtime.hardware import onednn_is_exact

SWITCHES = {
    "masked positions": "logits at every position; off implies the next off",
    "last layer": "the last layer computes every token, not those that the loss reads",
    "unpadded": "padding is computed",
    "attention": "PyTorch's scaled_dot_product_attention, which is slow with dropout on a CPU",
    "dropout": "a random float for each element, not a byte",
    "cross-entropy": "F.cross_entropy of float32 logits",
    "oneDNN": "float32 matrix products by the default library",
    "fused AdamW": "AdamW by loops over tensors (foreach)",
}
ALL = frozenset(SWITCHES)

_exact = cache(onednn_is_exact)


@contextmanager
def turned_off(off: frozenset[str]) -> Iterator[None]:
    """Turn off the switches that do not depend on how the model is called."""
    before = torch.get_float32_matmul_precision()
    with ExitStack() as stack:
        if "dropout" in off:
            for module in (dropout, attention):
                stack.enter_context(patch.object(module, "keep_mask", _float_mask))
        if "attention" in off:
            stack.enter_context(patch.object(attention, "_DropoutAttention", _TorchAttention))
        if "oneDNN" not in off and _exact():
            torch.set_float32_matmul_precision("medium")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


def _float_mask(x: Tensor, p: float) -> Tensor:
    return F.dropout(torch.ones_like(x), p)


class _TorchAttention:
    @staticmethod
    def apply(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, p: float) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=p)
