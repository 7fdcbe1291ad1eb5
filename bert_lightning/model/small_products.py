"""Which library computes the small matrix products of attention on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_LONGEST_SMALL = 256  # tokens of a sequence; for longer ones oneDNN is faster


@contextmanager
def default_products(query: Tensor, key: Tensor) -> Iterator[None]:
    """Let PyTorch's default library compute the small matrix products of attention without gradients on a CPU.

    For sequences of 32 to 128 tokens, oneDNN takes 2 to 7 times as long in float32. The setting belongs to the process,
    so a thread that computes at the same time may be slower for a moment. Its results are equally exact.
    """
    before = torch.get_float32_matmul_precision()
    small = query.device.type == "cpu" and query.dtype == torch.float32 and key.size(-2) <= _LONGEST_SMALL
    if before == "highest" or not small or torch.is_grad_enabled():
        yield
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
