"""Training in legs: within one, batches are made alike, and which they are follows from their positions alone.

What workers make ahead cannot depend on what is spent until it is used. So where the share of the budget decides about
batches, it does so between two legs: at an update that all ranks and every resume agree on.
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

from bert_lightning.data.sampler import Positions

NOT_YET = sys.maxsize  # a position that no run comes to


@dataclass(frozen=True)
class Leg:
    """How much of the budget is spent at each position of the training stream, as far as that is known beforehand.

    Args:
        position: where the leg begins.
        share: of the budget, that is spent there.
        pace: positions that all of the budget would take; infinite where only training will tell, and the share is
            then that of the beginning, throughout the leg.
        begins: where the phases began that had begun before the leg.
    """

    position: int = 0
    share: float = 1.0
    pace: float = math.inf
    begins: tuple[int, ...] = ()

    def shares(self, positions: Positions) -> npt.NDArray[np.float64]:
        """The share spent at each position."""
        return np.minimum(1.0, self.share + (np.asarray(positions) - self.position) / self.pace)

    def where(self, share: float) -> int:
        """The position at which a share is spent; `NOT_YET` where that is not known."""
        if share <= self.share:
            return self.position
        return NOT_YET if math.isinf(self.pace) else self.position + round((share - self.share) * self.pace)


END = Leg()  # all is spent: what the finished model reads


@dataclass(frozen=True)
class Legs:
    """The batches of one leg after another. Those that workers made ahead when a leg ends are thrown away.

    Lightning asks for no batch before the update before is done, for it is told how many there are.

    Args:
        turn: begins another leg where it is time. Whether it did.
        batches: of the present leg, from the present position on.
        size: how many make an update.
        length: of all legs.
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
