"""Dropout whose random numbers are cheap."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Module):
    """Set each element to 0 with probability p and scale the others by 1 / (1 - p), in training only.

    On the CPU, drawing a float an element costs more than everything else that dropout does. There an element takes one
    random byte, so p is rounded to a multiple of 1/256 (0.1 becomes 0.1016, and the scale fits it). Elsewhere it is
    PyTorch's own. The bytes come from PyTorch's generator: `torch.manual_seed` and a saved random state repeat them.
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
    """What to multiply `x` by: 0 or the scale, in the shape and type of `x`."""
    dropped = min(round(p * 256), 255)  # of the 256 values of a byte
    count = x.numel()
    words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.uint8)[:count].view(x.shape) >= dropped
    return kept.to(x.dtype).mul_(256 / (256 - dropped))
