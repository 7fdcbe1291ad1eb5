"""Budgets: the size of a run in updates, tokens, FLOPs or minutes, and the amount that it has spent.

Learning rate, batch size, sequence length and masking rate are functions of the fraction of the budget spent so far.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from typing import Annotated, Protocol

from bert_lightning.errors import UserError
from bert_lightning.ranges import Range

Ramp = Annotated[float, Range(above=0, most=1)]
Levels = Annotated[int, Range(least=2, most=1000)]


class Meter(Protocol):
    """A meter of the last update's cost, summed over all ranks. All ranks must call its methods at the same update."""

    def tokens(self) -> int:
        """Return the number of tokens that were read, without padding."""

    def flops(self) -> int:
        """Return the FLOPs of the forward and backward pass."""

    def microseconds(self) -> int:
        """Return the training time on the slowest rank. It includes waiting for batches and saving, not validation."""


class Budget:
    """The base class of budgets. Amounts are integers, so that all ranks and resumed runs agree exactly.

    The update that spends the rest of the budget is the last one. It is completed.

    Args:
        amount: size of the budget, in `unit`s.
        ramp: fraction of the budget during which the batch grows to its full size. None: all batches have the full
            size. Geiping and Goldstein 2023 use a ramp of 0.6, https://arxiv.org/abs/2212.14034
        ramp_levels: number of batch sizes during the ramp; the first is 1 / `ramp_levels` of the full size.

    Raises:
        UserError: if a value is out of range.
    """

    unit: str
    key: str  # config key that sets the amount
    resolution = 1  # number of integer steps in which one unit is counted

    def __init__(self, amount: float, ramp: Ramp | None = None, ramp_levels: Levels = 16) -> None:
        if not isinstance(amount, (int, float)) or not 1 <= amount * self.resolution < math.inf:
            least = "1 or more" if self.resolution == 1 else "above 0"
            raise UserError(f"{self.key}={amount} must be {least}: a number of {self.unit}")
        if ramp is not None and not 0 < ramp <= 1:
            raise UserError(
                f"budget.ramp={ramp} must be above 0 and at most 1: the batch grows in this fraction of the budget"
            )
        if ramp_levels < 2:
            raise UserError(f"budget.ramp_levels={ramp_levels} must be 2 or more")
        self.total = round(amount * self.resolution)
        self.before = self.spent = 0  # amounts spent before and after the last update
        self.levels = 1 if ramp is None else ramp_levels
        # Fractions of the budget at which the batch grows.
        self.growth_points = tuple((ramp or 0.0) * level / ramp_levels for level in range(1, self.levels))

    @property
    def updates(self) -> int | None:
        """Return the number of updates of the whole run; None if it is not known before training."""
        return None

    @property
    def fraction_spent(self) -> float:
        """Return the fraction of the budget spent so far, in [0, 1]."""
        return min(1.0, self.spent / self.total)

    @property
    def exhausted(self) -> bool:
        """Return whether the whole budget is spent."""
        return self.spent >= self.total

    def charge(self, meter: Meter) -> None:
        """Add the cost of an update to the amount spent."""
        self.before, self.spent = self.spent, self.spent + self.cost(meter)

    def cost(self, meter: Meter) -> int:
        """Return the cost of the last update, in steps of the integer count."""
        raise NotImplementedError

    def check(self, tokens: Callable[[], int]) -> None:
        """Check that the budget is enough for a first batch.

        Args:
            tokens: function that returns the number of tokens of the first batch.

        Raises:
            UserError: if the budget is less than the first batch.
        """

    def batch_size(self, full: int, fraction_spent: float) -> int:
        """Return the size of a batch at a fraction of the budget. `full` is the size after the ramp, in any unit."""
        return -(-full * (1 + bisect_right(self.growth_points, fraction_spent)) // self.levels)

    def batch_sizes(self, full: int) -> list[int]:
        """Return the batch size at every level of the ramp."""
        return [self.batch_size(full, fraction) for fraction in (0.0, *self.growth_points)]

    def summary(self) -> dict[str, float | str]:
        """Return the entry for the budget in `summary.json`."""
        return {
            "unit": self.unit,
            "total": round(self.total / self.resolution, 4),
            "spent": round(self.spent / self.resolution, 4),
            "share": round(self.spent / self.total, 6),
        }


class Steps(Budget):
    """A budget of updates."""

    unit, key = "steps", "trainer.max_steps"

    def __init__(self, steps: int, ramp: Ramp | None = None, ramp_levels: Levels = 16) -> None:
        if isinstance(steps, float):
            raise UserError(f"{self.key}={steps} must be a whole number")
        super().__init__(steps, ramp, ramp_levels)

    @property
    def updates(self) -> int:
        return self.total

    def cost(self, meter: Meter) -> int:
        return 1


class Tokens(Budget):
    """A budget of tokens that the model reads. Padding does not count."""

    unit, key = "tokens", "budget.tokens"

    def __init__(self, tokens: float, ramp: Ramp | None = None, ramp_levels: Levels = 16) -> None:
        super().__init__(tokens, ramp, ramp_levels)

    def cost(self, meter: Meter) -> int:
        return meter.tokens()

    def check(self, tokens: Callable[[], int]) -> None:
        if self.total < (least := tokens()):
            raise UserError(f"{self.key}={self.total} is less than one batch: use {least} or more, or lower batch_size")


class Flops(Budget):
    """A budget of FLOPs in the model's matrix products, forward and backward, as `Throughput` counts them."""

    unit, key = "FLOPs", "budget.flops"

    def __init__(self, flops: float, ramp: Ramp | None = None, ramp_levels: Levels = 16) -> None:
        super().__init__(flops, ramp, ramp_levels)

    def cost(self, meter: Meter) -> int:
        return meter.flops()


class Minutes(Budget):
    """A budget of training time. Starting a process, validation and the time between two processes do not count."""

    unit, key, resolution = "minutes", "budget.minutes", 60_000_000  # counted in microseconds

    def __init__(self, minutes: float, ramp: Ramp | None = None, ramp_levels: Levels = 16) -> None:
        super().__init__(minutes, ramp, ramp_levels)

    def cost(self, meter: Meter) -> int:
        return meter.microseconds()
