"""The two parts of a block that act on each position alone, and how their weights start."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm(nn.Module):
    """Normalise each hidden vector to mean 0 and variance 1, then scale and shift, [..., H] -> [..., H].

    Ba et al. 2016, "Layer Normalization", section 3. BERT uses eps 1e-12.
    """

    def __init__(self, hidden_size: int, eps: float = 1e-12) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.ones_(torch.empty(hidden_size)))
        self.bias = nn.Parameter(nn.init.zeros_(torch.empty(hidden_size)))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class PositionwiseFeedForward(nn.Module):
    """Two products with a GELU between them, [..., H] -> [..., H]. Vaswani et al. 2017, section 3.3.

    The GELU is the exact one (erf), as in transformers; google-research/bert has the tanh approximation.
    """

    def __init__(self, hidden_size: int, intermediate_size: int) -> None:
        super().__init__()
        self.up = nn.Linear(hidden_size, intermediate_size)
        self.down = nn.Linear(intermediate_size, hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x)))


def initialize(module: nn.Module, std: float) -> None:
    """Start the weights of `module` and its parts as BERT does: truncated normal at two `std`, biases 0.

    google-research/bert `modeling.py`, `create_initializer`. LayerNorms keep their ones and zeros.
    """
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Embedding)):
            nn.init.trunc_normal_(part.weight, std=std, a=-2 * std, b=2 * std)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
