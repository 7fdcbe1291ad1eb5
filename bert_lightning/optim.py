"""Which parameters decay, and how the learning rate moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from bert_lightning.errors import UserError


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases and norms, which are vectors, do not (google-research/bert `optimization.py`)."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


@dataclass(frozen=True)
class Linear:
    """Learning-rate factor: up over the warmup, 1 at its end, then down towards 0, which the end of training reaches.

    Args:
        warmup: share of all steps.
    """

    warmup: float

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1:
            raise UserError(f"schedule.warmup={self.warmup} is the share of steps that warm up: at least 0 and below 1")

    def __call__(self, step: int, total_steps: int) -> float:
        """Factor of update number `step`, counted from 0. The first and the last are above 0: no update is wasted."""
        warmup_steps = round(self.warmup * total_steps)
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        return max(0, total_steps - step) / max(1, total_steps - warmup_steps)
