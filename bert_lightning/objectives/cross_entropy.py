"""Cross-entropy that holds one matrix of the scores' size where the usual one holds two or three."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_BLOCK = 2**19  # scores of a block: 2 MiB of probabilities


def mean_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over the targets, in float32, [n, C] and [n] -> []. Zero, not NaN, where there is none."""
    loss: Tensor = _SummedCrossEntropy.apply(logits, targets)  # type: ignore[no-untyped-call]
    return loss / max(1, targets.numel())


class _SummedCrossEntropy(torch.autograd.Function):
    """-sum log softmax(logits)[target]. The gradient is softmax - one-hot, in the type of the logits.

    On the CPU it is made by blocks of rows that stay in the cache, so that nothing else of the logits' size is held.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        gradient = torch.empty_like(logits)  # [n, C]
        rows = max(1, _BLOCK // logits.size(1) if logits.device.type == "cpu" else len(logits))
        losses = [_block(*block) for block in zip(*(x.split(rows) for x in (logits, targets, gradient)), strict=True)]
        ctx.gradient = gradient
        return torch.stack(losses).sum() if len(targets) else logits.new_zeros((), dtype=torch.float32)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        if ctx.gradient is None:
            raise RuntimeError("this loss was differentiated already, and its gradient is gone: compute it again")
        gradient, ctx.gradient = ctx.gradient.mul_(grad), None
        return gradient, None


def _block(scores: Tensor, targets: Tensor, gradient: Tensor) -> Tensor:
    """Write the gradient of a block, and return its loss, [n, C] and [n] -> []."""
    in_place = gradient.dtype == torch.float32
    probabilities = torch.softmax(scores, -1, dtype=torch.float32, out=gradient if in_place else None)
    # log sum exp from the largest score, whose probability cannot underflow: x_max - log p_max.
    log_sums = scores.amax(-1).float() - probabilities.amax(-1).log()
    targets = targets[:, None]
    chosen = scores.gather(1, targets).float()
    probabilities.scatter_add_(1, targets, torch.full_like(chosen, -1.0))
    if not in_place:
        gradient.copy_(probabilities)
    return log_sums.sum() - chosen.sum()
