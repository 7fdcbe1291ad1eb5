"""The layers of a transformer block that act on each token separately, and the initialization of weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert_lightning.model.config import BertConfig

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "tanh": torch.tanh,
    "relu": F.relu,
}


class LayerNorm(nn.LayerNorm):
    """LayerNorm over the hidden vector, with BERT's eps of 1e-12, [..., H] -> [..., H]. Ba et al. 2016, section 3."""

    def __init__(self, hidden_size: int, eps: float = 1e-12, bias: bool = True) -> None:
        super().__init__(hidden_size, eps=eps, bias=bias)


class FusedLinear(nn.Linear):
    """Several linear layers of the same input as one matrix product, [..., H] -> [..., parts * D].

    The weight has their matrices stacked by rows. Optimizers that are made for matrices update each one separately.
    """

    def __init__(self, in_features: int, out_features: int, parts: int, bias: bool = True) -> None:
        super().__init__(in_features, parts * out_features, bias)
        self.parts = parts


class PositionwiseFeedForward(nn.Module):
    """Two linear layers with an activation between them, [..., H] -> [..., H]. Vaswani et al. 2017, section 3.3.

    The default GELU is the exact one (erf), as in transformers; google-research/bert has the tanh approximation.
    """

    def __init__(
        self,
        hidden_size: int,
        intermediate_size: int,
        activation: Callable[[Tensor], Tensor] = F.gelu,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.up = nn.Linear(hidden_size, intermediate_size, bias)
        self.down = nn.Linear(intermediate_size, hidden_size, bias)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.activation(self.up(x)))


class GatedFeedForward(nn.Module):
    """A feed-forward layer in which one half of the inner layer gates the other, [..., H] -> [..., H].

    GeGLU: Shazeer 2020, equation 6. One matrix product computes both halves, H -> 2 * intermediate_size. The first half
    is the input of the activation. The second half is the gate.
    """

    def __init__(
        self,
        hidden_size: int,
        intermediate_size: int,
        activation: Callable[[Tensor], Tensor] = F.gelu,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.up = FusedLinear(hidden_size, intermediate_size, parts=2, bias=bias)
        self.down = nn.Linear(intermediate_size, hidden_size, bias)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        inner, gate = self.up(x).chunk(2, dim=-1)
        return self.down(self.activation(inner) * gate)


_FEED_FORWARDS = {"plain": PositionwiseFeedForward, "gated": GatedFeedForward}


def make_feed_forward(config: BertConfig) -> nn.Module:
    """Build the feed-forward layer that the config names."""
    make = _FEED_FORWARDS[config.feed_forward]
    return make(config.hidden_size, config.intermediate_size, ACTIVATIONS[config.activation], config.linear_bias)


def make_norm(config: BertConfig, size: int) -> nn.Module:
    """Build the norm that the config names, for vectors of width `size`."""
    if config.norm == "rms":
        return nn.RMSNorm(size, eps=config.layer_norm_eps)  # Zhang and Sennrich 2019, section 3
    return LayerNorm(size, config.layer_norm_eps, config.norm_bias)


def initialize(module: nn.Module, std: float) -> None:
    """Initialize `module` and its submodules as BERT does: weights truncated normal at two `std`, biases 0.

    Source: google-research/bert `modeling.py`, `create_initializer`. Norms keep their ones and zeros.
    """
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Embedding)):
            nn.init.trunc_normal_(part.weight, std=std, a=-2 * std, b=2 * std)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
