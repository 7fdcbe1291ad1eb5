"""Cross-entropy with little memory: one additional matrix of the logits' size instead of two or three."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_BLOCK = 2**19  # number of logits in a block; their float32 probabilities take 2 MiB


def mean_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy in float32, [n or more, C] and [n] -> []. Without targets, it is 0.

    Rows of logits after the last target are padding, and have no effect.
    """
    loss: Tensor = _SummedCrossEntropy.apply(logits, targets)  # type: ignore[no-untyped-call]
    return loss / max(1, targets.numel())


class _SummedCrossEntropy(torch.autograd.Function):
    """The sum of the cross-entropies: -sum log softmax(logits)[target].

    The forward pass computes the gradient, softmax - one-hot, in the data type of the logits. On a CPU it works on
    blocks of rows that fit into the cache. So it allocates no other matrix of the logits' size.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        gradient = torch.empty_like(logits)  # [n or more, C]
        gradient[len(targets) :] = 0
        ctx.gradient, used = gradient, slice(len(targets))
        rows = max(1, _BLOCK // logits.size(1) if logits.device.type == "cpu" else len(logits))
        parts = (x.split(rows) for x in (logits[used], targets, gradient[used]))
        losses = [_block(*block) for block in zip(*parts, strict=True)]
        return torch.stack(losses).sum() if len(targets) else logits.new_zeros((), dtype=torch.float32)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        if ctx.gradient is None:
            raise RuntimeError("backward was called twice on this loss: compute the loss again before the second call")
        gradient, ctx.gradient = ctx.gradient.mul_(grad), None
        return gradient, None


def _block(scores: Tensor, targets: Tensor, gradient: Tensor) -> Tensor:
    """Write the gradient of a block of rows into `gradient`, and return the summed loss, [n, C] and [n] -> []."""
    in_place = gradient.dtype == torch.float32
    probabilities = torch.softmax(scores, -1, dtype=torch.float32, out=gradient if in_place else None)
    # log sum exp is computed as x_max - log p_max, because the probability of the largest logit cannot underflow.
    log_sums = scores.amax(-1).float() - probabilities.amax(-1).log()
    targets = targets[:, None]
    chosen = scores.gather(1, targets).float()
    probabilities.scatter_add_(1, targets, torch.full_like(chosen, -1.0))
    if not in_place:
        gradient.copy_(probabilities)
    return log_sums.sum() - chosen.sum()
