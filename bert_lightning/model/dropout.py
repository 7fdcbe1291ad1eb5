"""Dropout that draws its random numbers cheaply on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Module):
    """Dropout: in training, set each element to 0 with probability p and scale the others by 1 / (1 - p).

    On a CPU, drawing one random float per element takes most of the time of dropout. So each element uses one random
    byte instead, and p is rounded to a multiple of 1/256: 0.1 becomes 0.1016. The scale uses the rounded value. The
    bytes come from PyTorch's generator, so `torch.manual_seed` or a saved random state reproduces them. On other
    devices, this class calls PyTorch's own dropout.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        return x * keep_mask(x, self.p) if x.device.type == "cpu" else F.dropout(x, self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def keep_mask(x: Tensor, p: float) -> Tensor:
    """Return a dropout mask with the shape and dtype of `x`: 0 with probability `p`, else the scale 1 / (1 - p)."""
    dropped = min(round(p * 256), 255)  # how many of a byte's 256 values mean "dropped"
    count = x.numel()
    words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.uint8)[:count].view(x.shape) >= dropped
    return kept.to(x.dtype).mul_(256 / (256 - dropped))
