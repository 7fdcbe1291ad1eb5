"""What a run may spend, and how much of that is spent: updates, tokens, operations or minutes.

Learning rate, batch size, phases of length and rates of masks are functions of the share that is spent.
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
    """What an update took, of all ranks together. They ask at the same update."""

    def tokens(self) -> int:
        """Tokens that were read, without padding."""

    def operations(self) -> int:
        """Floating-point operations, forward and backward."""

    def microseconds(self) -> int:
        """Of training, on the slowest rank: waiting for batches and saving are among them, validation is not."""


class Budget:
    """An amount of something, counted in whole numbers, so that all ranks and every resume count alike.

    The update that spends the last of it is the last, and is spent whole.

    Args:
        amount: in `unit`s.
        ramp: share of the budget in which the batch grows to its full size; None for full batches from the start.
            Geiping and Goldstein 2023 grow it for 0.6 of theirs, https://arxiv.org/abs/2212.14034
        ramp_levels: of equal height, in which it grows; the first batch has 1 / `ramp_levels` of the full size.

    Raises:
        UserError: a value out of range; the message names it.
    """

    unit: str
    key: str  # of the config, which the amount is given by
    countable = 1  # of them make a unit

    def __init__(self, amount: float, ramp: Ramp | None = None, ramp_levels: Levels = 16) -> None:
        if not isinstance(amount, (int, float)) or not 1 <= amount * self.countable < math.inf:
            least = "1 or more" if self.countable == 1 else "above 0"
            raise UserError(f"{self.key}={amount} must be {least}: a number of {self.unit}")
        if ramp is not None and not 0 < ramp <= 1:
            raise UserError(
                f"budget.ramp={ramp} is the share of the budget in which the batch grows: above 0 and at most 1"
            )
        if ramp_levels < 2:
            raise UserError(f"budget.ramp_levels={ramp_levels} must be 2 or more")
        self.total = round(amount * self.countable)
        self.before = self.spent = 0  # before the last update, and after it
        self.levels = 1 if ramp is None else ramp_levels
        self.rises = tuple((ramp or 0.0) * level / ramp_levels for level in range(1, self.levels))

    @property
    def updates(self) -> int | None:
        """How many there will be; None where only training will tell."""
        return None

    @property
    def share(self) -> float:
        """That is spent, at most 1."""
        return min(1.0, self.spent / self.total)

    @property
    def exhausted(self) -> bool:
        return self.spent >= self.total

    def charge(self, meter: Meter) -> None:
        """Spend what an update took."""
        self.before, self.spent = self.spent, self.spent + self.cost(meter)

    def cost(self, meter: Meter) -> int:
        """What an update takes of this budget."""
        raise NotImplementedError

    def check(self, tokens: Callable[[], int]) -> None:
        """Raises UserError where the budget does not reach for a first batch, whose tokens it may ask for."""

    def batch_size(self, full: int, share: float) -> int:
        """Sequences of a batch after a share of the budget, `full` at the end of the ramp."""
        return -(-full * (1 + bisect_right(self.rises, share)) // self.levels)

    def batch_sizes(self, full: int) -> list[int]:
        """Of all levels of the ramp."""
        return [self.batch_size(full, share) for share in (0.0, *self.rises)]

    def summary(self) -> dict[str, float | str]:
        """What `summary.json` says of it."""
        return {
            "unit": self.unit,
            "total": round(self.total / self.countable, 4),
            "spent": round(self.spent / self.countable, 4),
            "share": round(self.spent / self.total, 6),
        }


class Steps(Budget):
    """Updates."""

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
    """Tokens that the model reads, without padding."""

    unit, key = "tokens", "budget.tokens"

    def __init__(self, tokens: float, ramp: Ramp | None = None, ramp_levels: Levels = 16) -> None:
        super().__init__(tokens, ramp, ramp_levels)

    def cost(self, meter: Meter) -> int:
        return meter.tokens()

    def check(self, tokens: Callable[[], int]) -> None:
        if self.total < (least := tokens()):
            raise UserError(f"{self.key}={self.total} does not reach for one batch: the first has {least} tokens")


class Operations(Budget):
    """Floating-point operations of the model's matrix products, forward and backward, as `Throughput` counts them."""

    unit, key = "operations", "budget.flops"

    def __init__(self, flops: float, ramp: Ramp | None = None, ramp_levels: Levels = 16) -> None:
        super().__init__(flops, ramp, ramp_levels)

    def cost(self, meter: Meter) -> int:
        return meter.operations()


class Minutes(Budget):
    """Time spent training: without the start of the process, validation, and breaks between two processes."""

    unit, key, countable = "minutes", "budget.minutes", 60_000_000  # microseconds

    def __init__(self, minutes: float, ramp: Ramp | None = None, ramp_levels: Levels = 16) -> None:
        super().__init__(minutes, ramp, ramp_levels)

    def cost(self, meter: Meter) -> int:
        return meter.microseconds()
