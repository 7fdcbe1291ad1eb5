"""Batches of a fixed number of tokens, of examples of similar length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from torch.utils.data import Sampler

from bert_lightning.data.randomness import Stream, draw, permute
from bert_lightning.data.sampler import Ints
from bert_lightning.errors import UserError

_WINDOW = 64  # batches of the longest examples: what is sorted together
_TRIAL = 8  # windows that tell how many examples a batch has


@dataclass(frozen=True)
class Windows:
    """The training stream in windows of examples, each sorted by length, cut into batches, and these shuffled.

    So the order stays as random as a window is long, and an epoch, which windows end with, has every example once. A
    window is a pure function of where it begins.

    Args:
        lengths: positions of the stream -> tokens of their examples, padding not counted.
        size: examples of an epoch.
        longest: tokens that no example exceeds.
        budget: tokens of a batch at most.
        seed: of the order of a window's batches.
        begin: position of the first window.

    Raises:
        UserError: an example may be longer than the budget.
    """

    lengths: Callable[[Ints], Ints]
    size: int
    longest: int
    budget: int
    seed: int
    begin: int = 0

    def __post_init__(self) -> None:
        if self.budget < self.longest:
            raise UserError(
                f"batch_tokens={self.budget} is less than one example may have: it must be {self.longest} or more"
            )

    @property
    def examples(self) -> int:
        """Of a window; those of an epoch have about as many."""
        windows = -(-self.size // (_WINDOW * (self.budget // self.longest)))
        return -(-self.size // windows)

    def holding(self, position: int) -> range:
        """The window that holds a position at `begin` or after it."""
        epoch = position - position % self.size
        start = max(epoch, self.begin)
        first = position - (position - start) % self.examples
        return range(first, min(first + self.examples, epoch + self.size))

    def batches(self, window: range) -> list[Ints]:
        """Positions of each batch of a window, ascending; the batches in the order in which they are given."""
        positions = np.arange(window.start, window.stop)
        lengths = self.lengths(positions)
        order = np.argsort(-lengths, kind="stable")
        batches = np.split(positions[order], fill(lengths[order], self.budget))
        turns = permute(np.arange(len(batches)), len(batches), draw(self.seed, Stream.BATCH, window.start))
        return [np.sort(batches[turn]) for turn in turns]

    def of_an_epoch(self, epoch: int = 0) -> list[Ints]:
        """All batches of an epoch."""
        starts = range(epoch * self.size, (epoch + 1) * self.size, self.examples)
        return [batch for start in starts for batch in self.batches(self.holding(start))]

    def examples_of_a_batch(self, lengths: Callable[[Ints], Ints]) -> float:
        """How many examples a batch has in the mean, in the first windows of a stream of other `lengths`."""
        parts = [lengths(np.arange(self.examples) + window * self.examples) for window in range(_TRIAL)]
        return _TRIAL * self.examples / sum(1 + len(fill(np.sort(part)[::-1], self.budget)) for part in parts)

    @property
    def trial(self) -> int:
        """Positions that `examples_of_a_batch` looks at."""
        return _TRIAL * self.examples


class TokenBatches(Sampler[Ints]):
    """Batch after batch of `windows`, dealt to the ranks in turn: every rank has as many.

    Training goes on at once wherever a global batch ended; its position is a count of examples, as in StreamBatches.

    Args:
        windows: the batches.
        num_batches: of all of training, on each rank.
        rank: of this process.
        world_size: how many ranks there are.
        start: position to begin at.
    """

    def __init__(self, windows: Windows, num_batches: int, rank: int = 0, world_size: int = 1, start: int = 0) -> None:
        self.windows, self.num_batches = windows, num_batches
        self.rank, self.world_size, self.start = rank, world_size, start
        self._batches = lru_cache(maxsize=4)(windows.batches)  # workers are served ahead of what is counted

    def __len__(self) -> int:
        """Batches of all of training, with those before `start`: Lightning counts them too."""
        return self.num_batches

    def __iter__(self) -> Iterator[Ints]:
        position = self.start
        while True:  # whoever trains knows when to stop
            batches = self.at(position)
            yield batches[self.rank]
            position += sum(map(len, batches))

    def after(self, position: int) -> int:
        """Where the stream goes on after the global batch that begins at `position`."""
        return position + sum(map(len, self.at(position)))

    def at(self, position: int) -> list[Ints]:
        """The positions of each rank's batch in the global batch that begins at `position`.

        Raises:
            UserError: none begins there.
        """
        found: list[Ints] = []
        while len(found) < self.world_size:
            window = self.windows.holding(position)
            batches = self._batches(window)
            starts = window.start + np.cumsum([0, *map(len, batches)])
            first = int(np.searchsorted(starts, position))
            if starts[first] != position:
                raise UserError(f"no batch of batch_tokens={self.windows.budget} begins at example {position}")
            taken = batches[first : first + self.world_size - len(found)]
            found += taken
            position += sum(map(len, taken))
        return found


def fill(lengths: Ints, budget: int) -> list[int]:
    """Where to cut examples of these lengths, in their order, so that each part has `budget` tokens at most.

    Raises:
        UserError: one example alone has more.
    """
    if lengths.max() > budget:
        raise UserError(f"batch_tokens={budget} is less than the {lengths.max()} tokens of one example")
    ends = np.cumsum(lengths)
    cuts: list[int] = []
    taken = 0
    while ends[-1] - taken > budget:
        cuts.append(int(np.searchsorted(ends, taken + budget, side="right")))
        taken = int(ends[cuts[-1] - 1])
    return cuts
