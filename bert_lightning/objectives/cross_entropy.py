"""Cross-entropy that holds one matrix of the scores' size where the usual one holds two or three."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def mean_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over the targets, in float32, [n, C] and [n] -> []. Zero, not NaN, where there is none."""
    loss: Tensor = _SummedCrossEntropy.apply(logits, targets)  # type: ignore[no-untyped-call]
    return loss / max(1, targets.numel())


class _SummedCrossEntropy(torch.autograd.Function):
    """-sum log softmax(logits)[target]. The gradient is softmax - one-hot, made in place of the probabilities."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        probabilities = torch.softmax(logits, dim=-1, dtype=torch.float32)  # [n, C]
        rows = torch.arange(len(targets), device=targets.device)
        # log sum exp from the largest score, whose probability cannot underflow: x_max - log p_max.
        largest, where = logits.detach().max(dim=-1)
        log_sum = largest.float() - probabilities[rows, where].log()
        losses = log_sum - logits[rows, targets].float()
        probabilities[rows, targets] -= 1.0
        ctx.gradient, ctx.dtype = probabilities, logits.dtype
        return losses.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        if ctx.gradient is None:
            raise RuntimeError("this loss was differentiated already, and its gradient is gone: compute it again")
        gradient, ctx.gradient = ctx.gradient.mul_(grad), None
        return gradient.to(ctx.dtype), None
