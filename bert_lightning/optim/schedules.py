"""Learning rate schedules: pure functions of the amount of a budget that is spent, in steps or another unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from bert_lightning.errors import UserError
from bert_lightning.ranges import Range, Share


@dataclass(frozen=True)
class Schedule:
    """A learning rate factor that rises to 1 during the warmup, and then follows `after` down to `floor`.

    Args:
        warmup: fraction of the budget in which the factor rises.
        floor: factor at the end of training.
        start: factor at the beginning of the warmup.
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
                raise UserError(f"schedule.{name}={getattr(self, name)} is a factor: it must be between 0 and 1")

    def __call__(self, before: int, after: int, total: int) -> float:
        """Return the learning rate factor of an update that raises the amount spent from `before` to `after`.

        For a budget in steps, update n (from 0) raises the amount from n to n + 1. The warmup uses the amount after
        the update, and the decay uses the amount before it. So no update has a factor of 0.
        """
        warmup = round(self.warmup * total)
        if before < warmup:
            return self.start + (1 - self.start) * after / (warmup + after - before)
        progress = min(1.0, (before - warmup) / max(1, total - warmup))
        return self.floor + (1 - self.floor) * self.after(progress)

    def after(self, progress: float) -> float:
        """Return the decay: 1 at `progress` 0, the end of the warmup, and 0 at `progress` 1, the end of training."""
        raise NotImplementedError


@dataclass(frozen=True)
class Linear(Schedule):
    """A linear decay, as in google-research/bert `optimization.py`."""

    def after(self, progress: float) -> float:
        return 1 - progress


@dataclass(frozen=True)
class Polynomial(Schedule):
    """A decay as a power of (1 - progress); power 1 is `Linear`.

    This is fairseq's `polynomial_decay`, the schedule of RoBERTa.
    """

    power: Annotated[float, Range(above=0, most=1000)] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.power <= 0:
            raise UserError(f"schedule.power={self.power} must be above 0")

    def after(self, progress: float) -> float:
        return float((1 - progress) ** self.power)


@dataclass(frozen=True)
class Cosine(Schedule):
    """A decay along half a cosine, without restarts: Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983."""

    def after(self, progress: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class OneMinusSqrt(Schedule):
    """A decay as 1 - sqrt(progress), the decay of `WarmupStableDecay` alone (Hägele et al. 2024)."""

    def after(self, progress: float) -> float:
        return 1 - math.sqrt(progress)


@dataclass(frozen=True)
class WarmupStableDecay(Schedule):
    """A factor of 1 after the warmup, and a decay as 1 - sqrt(progress) in the last part of the budget.

    Source: Hägele et al. 2024, https://arxiv.org/abs/2405.18392.

    Args:
        decay: fraction of the budget, at its end, in which the factor decays.
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
        length = self.decay / (1 - self.warmup)  # fraction of the budget after the warmup
        return 1 - math.sqrt(max(0.0, (progress - (1 - length)) / length))
