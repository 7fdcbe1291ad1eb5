"""Position encodings: a learned table, a fixed sinusoidal table, or a rotation of queries and keys."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bert_lightning.model.config import BertConfig


class LearnedPositions(nn.Embedding):
    """A learned vector for each position, [T] -> [T, E]. Devlin et al. 2019, figure 2.

    In RoBERTa the first token uses row 2 of the table, because fairseq keeps rows 0 and 1 for padding.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config.max_position_embeddings + config.position_offset, config.embedding_width)
        self.offset = config.position_offset

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input + self.offset)


class SinusoidalPositions(nn.Module):
    """Fixed position embeddings, [T] -> [T, E]. Vaswani et al. 2017, section 3.5.

    They are sines and cosines with wavelengths from 2 pi to 10,000 times 2 pi.
    """

    table: Tensor  # [max_position_embeddings, E]

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        shape = config.max_position_embeddings, config.embedding_width
        only_sizes = torch.empty(0).device.type == "meta"
        self.register_buffer("table", torch.empty(shape) if only_sizes else _sines(*shape), persistent=False)

    def forward(self, positions: Tensor) -> Tensor:
        return self.table[positions]


def _sines(positions: int, width: int) -> Tensor:
    """Return the sinusoidal table on the CPU, [positions, width], with sines and cosines in turn along the width."""
    frequencies = 10_000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64, device="cpu") / width)
    angles = torch.arange(positions, device="cpu")[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width].float()


def make_positions(config: BertConfig) -> nn.Module | None:
    """Build the position embeddings that are added to the word embeddings; None if the config has none."""
    makers = {"learned": LearnedPositions, "sinusoidal": SinusoidalPositions}
    return makers[config.positions](config) if config.positions in makers else None


def rotation(positions: Tensor, head_width: int, theta: float) -> Tensor:
    """Return the cosine and sine of every rotation angle, [T] -> [T, 2, D / 2]. Su et al. 2021, section 3.4.2."""
    pairs = torch.arange(0, head_width, 2, dtype=torch.float32, device=positions.device)
    angles = positions[:, None].float() / theta ** (pairs / head_width)
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def rotate(x: Tensor, by: Tensor) -> Tensor:
    """Rotate the pairs (x_i, x_{i + D / 2}) of each head in float32, [T, N, D] by angles [T, 2, D / 2]."""
    cosine, sine = by[:, :, None].unbind(1)  # 2 x [T, 1, D / 2]
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1).to(x.dtype)
