"""Plan training batches in segments. Within a segment the batch settings are fixed, so positions determine the batches.

Workers make batches in advance, so a batch cannot depend on the amount spent when it is used. If the spent fraction of
the budget changes the batch settings, a new plan begins. It begins at the same update on all ranks and in resumed runs.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_lightning.data.batching.sampler import Positions

UNREACHED = sys.maxsize  # a position that no run reaches


@dataclass(frozen=True)
class BatchPlan:
    """One segment of training: the fraction of the budget spent at each position, as far as it is known in advance.

    Args:
        position: position of the training stream at which the segment begins.
        fraction_spent: fraction of the budget that is spent when the segment begins.
        pace: number of positions that the full budget would take. It is infinite if this is not known in advance. The
            fraction is then treated as constant within the segment.
        phase_starts: start positions of the phases that began before this segment.
    """

    position: int = 0
    fraction_spent: float = 1.0
    pace: float = math.inf
    phase_starts: tuple[int, ...] = ()

    def fractions_spent(self, positions: Positions) -> npt.NDArray[np.float64]:
        """Return the fraction of the budget spent at each position."""
        return np.minimum(1.0, self.fraction_spent + (np.asarray(positions) - self.position) / self.pace)

    def position_at(self, fraction: float) -> int:
        """Return the position at which a fraction of the budget is spent; `UNREACHED` if this is unknown."""
        if fraction <= self.fraction_spent:
            return self.position
        return (
            UNREACHED if math.isinf(self.pace) else self.position + round((fraction - self.fraction_spent) * self.pace)
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the plan as plain data. Do not rename its keys, because they are stored in checkpoints."""
        return {
            "position": self.position,
            "share": self.fraction_spent,
            "pace": self.pace,
            "begins": self.phase_starts,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> BatchPlan:
        """Return the plan for a state that `state_dict` returned."""
        return cls(state["position"], state["share"], state["pace"], tuple(state["begins"]))


END_OF_TRAINING = BatchPlan()  # the plan at the end of the budget: examples as the finished model expects them


@dataclass(frozen=True)
class PlannedBatches:
    """The batches of all plans, one plan after another. When a plan ends, batches that workers made ahead are dropped.

    This class has a length, so Lightning does not request a batch before the previous update is done.

    Args:
        replan: function that makes a new plan if the current one has ended, and returns whether it did.
        batches: function that returns the batches of the current plan, from the current position on.
        update_batches: number of batches per update on this rank.
        num_batches: number of batches in all plans.
    """

    replan: Callable[[], bool]
    batches: Callable[[], Iterable[Any]]
    update_batches: int
    num_batches: int

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[Any]:
        self.replan()
        while True:
            batches = iter(self.batches())
            while True:
                yield from islice(batches, self.update_batches)
                if self.replan():
                    break
