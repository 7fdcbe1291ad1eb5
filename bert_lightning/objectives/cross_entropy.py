"""Cross-entropy that holds one matrix of the logits' size, where the usual implementation holds two or three."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_BLOCK = 2**19  # logits in a block: 2 MiB of probabilities


def mean_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy over the targets, in float32, [n, C] and [n] -> []. Without targets it is 0."""
    loss: Tensor = _SummedCrossEntropy.apply(logits, targets)  # type: ignore[no-untyped-call]
    return loss / max(1, targets.numel())


class _SummedCrossEntropy(torch.autograd.Function):
    """The summed cross-entropy: -sum log softmax(logits)[target].

    Its gradient is softmax - one-hot, in the type of the logits. On a CPU it is made in blocks of rows that stay in the
    cache, so nothing else of the logits' size is held.
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
    """Write the gradient of a block of rows, and return its summed loss, [n, C] and [n] -> []."""
    in_place = gradient.dtype == torch.float32
    probabilities = torch.softmax(scores, -1, dtype=torch.float32, out=gradient if in_place else None)
    # log sum exp is x_max - log p_max: the probability of the largest logit cannot underflow.
    log_sums = scores.amax(-1).float() - probabilities.amax(-1).log()
    targets = targets[:, None]
    chosen = scores.gather(1, targets).float()
    probabilities.scatter_add_(1, targets, torch.full_like(chosen, -1.0))
    if not in_place:
        gradient.copy_(probabilities)
    return log_sums.sum() - chosen.sum()
