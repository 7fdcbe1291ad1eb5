"""How the learning rate moves: pure functions of what is spent of a budget, in steps or in anything else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from bert_lightning.errors import UserError
from bert_lightning.ranges import Range, Share


@dataclass(frozen=True)
class Schedule:
    """Learning-rate factor: up over the warmup, 1 at its end, then what `after` says, down to `floor`.

    Args:
        warmup: share of the budget.
        floor: factor that the end of training reaches.
        start: factor that the warmup rises from.
    """

    warmup: Annotated[float, Range(least=0, below=1)]
    floor: Share = 0.0
    start: Share = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1:
            raise UserError(
                f"schedule.warmup={self.warmup} is the share of the budget that warms up: at least 0 and below 1"
            )
        for name in ("floor", "start"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"schedule.{name}={getattr(self, name)} is a factor of the rate: between 0 and 1")

    def __call__(self, before: int, after: int, total: int) -> float:
        """Factor of the update that takes what is spent of `total` from `before` to `after`; step n from n to n + 1.

        No update has a factor of 0: in the warmup it has what its end has earned, later what its beginning has.
        """
        warmup = round(self.warmup * total)
        if before < warmup:
            return self.start + (1 - self.start) * after / (warmup + after - before)
        progress = min(1.0, (before - warmup) / max(1, total - warmup))
        return self.floor + (1 - self.floor) * self.after(progress)

    def after(self, progress: float) -> float:
        """From 1 at `progress` 0, the end of the warmup, to 0 at `progress` 1, the end of training."""
        raise NotImplementedError


@dataclass(frozen=True)
class Linear(Schedule):
    """A straight line down. google-research/bert `optimization.py`."""

    def after(self, progress: float) -> float:
        return 1 - progress


@dataclass(frozen=True)
class Polynomial(Schedule):
    """(1 - progress) to a power; 1 is `Linear`. fairseq's `polynomial_decay`, with which RoBERTa was trained."""

    power: Annotated[float, Range(above=0, most=1000)] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.power <= 0:
            raise UserError(f"schedule.power={self.power} must be above 0")

    def after(self, progress: float) -> float:
        return float((1 - progress) ** self.power)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine down. Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, without restarts."""

    def after(self, progress: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class WarmupStableDecay(Schedule):
    """1 until the last share of the budget, then down as 1 - sqrt. Hägele et al. 2024, https://arxiv.org/abs/2405.18392.

    Args:
        decay: share of the budget that decays, at the end.
    """

    decay: Annotated[float, Range(above=0, most=1)] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.decay <= 1 - self.warmup:
            raise UserError(
                f"schedule.decay={self.decay} is the share of the budget that decays: above 0, and with "
                f"schedule.warmup={self.warmup} at most 1"
            )

    def after(self, progress: float) -> float:
        share = self.decay / (1 - self.warmup)  # of what follows the warmup
        return 1 - math.sqrt(max(0.0, (progress - (1 - share)) / share))
