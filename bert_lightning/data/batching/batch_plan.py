"""The legs of training: segments in which the batch settings are fixed and positions alone determine the batches.

Workers make batches ahead, so a batch cannot depend on what is spent before it is used. If the spent fraction of the
budget changes the batch settings, a new leg begins. All ranks and every resumed run begin it at the same update.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_lightning.data.batching.sampler import Positions

NOT_YET = sys.maxsize  # a position that no run reaches


@dataclass(frozen=True)
class Leg:
    """One leg of training: the fraction of the budget spent at each position, as far as it is known in advance.

    Args:
        position: position of the training stream at which the leg begins.
        share: fraction of the budget that is spent at the beginning.
        pace: number of positions that the whole budget would take. It is infinite if only training can tell; then the
            fraction stays at `share` throughout the leg.
        begins: positions at which phases began, for all phases that began before the leg.
    """

    position: int = 0
    share: float = 1.0
    pace: float = math.inf
    begins: tuple[int, ...] = ()

    def shares(self, positions: Positions) -> npt.NDArray[np.float64]:
        """Return the fraction of the budget spent at each position."""
        return np.minimum(1.0, self.share + (np.asarray(positions) - self.position) / self.pace)

    def where(self, share: float) -> int:
        """Return the position at which a fraction of the budget is spent; `NOT_YET` if it is unknown."""
        if share <= self.share:
            return self.position
        return NOT_YET if math.isinf(self.pace) else self.position + round((share - self.share) * self.pace)


END = Leg()  # the whole budget is spent: the finished model reads the examples of this leg


@dataclass(frozen=True)
class Legs:
    """The batches of all legs, one leg after another. When a leg ends, batches that workers made ahead are dropped.

    Lightning knows the number of batches. So it does not ask for a batch before the previous update is done.

    Args:
        turn: function that begins a new leg if it is time for one, and returns whether it did.
        batches: function that returns the batches of the present leg, from the present position on.
        size: number of batches per update.
        length: number of batches in all legs.
    """

    turn: Callable[[], bool]
    batches: Callable[[], Iterable[Any]]
    size: int
    length: int

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Any]:
        self.turn()
        while True:
            batches = iter(self.batches())
            while True:
                yield from islice(batches, self.size)
                if self.turn():
                    break
