"""Batches with a fixed number of tokens, made of examples of similar length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from torch.utils.data import Sampler

from bert_lightning.data.batching.sampler import Ints
from bert_lightning.data.randomness import Stream, draw, permute
from bert_lightning.errors import UserError

_WINDOW = 64  # batches in a window, if all examples had the maximal length
_TRIAL = 8  # windows that are tried to estimate the number of examples in a batch


@dataclass(frozen=True)
class Windows:
    """The training stream in windows: each window is sorted by length and cut into batches, which are then shuffled.

    Only the examples of one window are sorted, so the longer the window, the more random the order stays. A window ends
    with its epoch, so every epoch has each example once. A window is a pure function of its first position.

    Args:
        lengths: function that returns the number of tokens, without padding, of the examples at positions.
        size: number of examples in an epoch.
        longest: maximal number of tokens in an example.
        budget: maximal number of tokens in a batch.
        seed: shuffle seed of the batches in a window.
        begin: position at which the first window begins.

    Raises:
        UserError: if an example may be longer than the budget.
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
        """Return the number of examples in a window. It divides an epoch into windows of about equal size."""
        windows = -(-self.size // (_WINDOW * (self.budget // self.longest)))
        return -(-self.size // windows)

    def holding(self, position: int) -> range:
        """Return the window that contains a position. The position is at or after `begin`."""
        epoch = position - position % self.size
        start = max(epoch, self.begin)
        first = position - (position - start) % self.examples
        return range(first, min(first + self.examples, epoch + self.size))

    def batches(self, window: range) -> list[Ints]:
        """Return the positions of each batch in a window, ascending within a batch. The batches are shuffled."""
        positions = np.arange(window.start, window.stop)
        lengths = self.lengths(positions)
        order = np.argsort(-lengths, kind="stable")
        batches = np.split(positions[order], fill(lengths[order], self.budget))
        turns = permute(np.arange(len(batches)), len(batches), draw(self.seed, Stream.BATCH, window.start))
        return [np.sort(batches[turn]) for turn in turns]

    def of_an_epoch(self, epoch: int = 0) -> list[Ints]:
        """Return all batches of an epoch."""
        starts = range(epoch * self.size, (epoch + 1) * self.size, self.examples)
        return [batch for start in starts for batch in self.batches(self.holding(start))]

    def examples_of_a_batch(self, lengths: Callable[[Ints], Ints]) -> float:
        """Return the mean number of examples per batch in the first windows of a stream with other `lengths`."""
        parts = [lengths(np.arange(self.examples) + window * self.examples) for window in range(_TRIAL)]
        return _TRIAL * self.examples / sum(1 + len(fill(np.sort(part)[::-1], self.budget)) for part in parts)

    @property
    def trial(self) -> int:
        """Return the number of positions that `examples_of_a_batch` reads."""
        return _TRIAL * self.examples


class TokenBatches(Sampler[Ints]):
    """Samples the batches of `windows` and deals them to the ranks in turn. All ranks get the same number.

    A resumed run continues at once at the end of any global batch. Its position is a number of examples, as in
    `StreamBatches`.

    Args:
        windows: windows that give the batches.
        num_batches: number of batches in all of training, on each rank.
        rank: rank of this process.
        world_size: number of ranks.
        start: position at which to begin.
    """

    def __init__(self, windows: Windows, num_batches: int, rank: int = 0, world_size: int = 1, start: int = 0) -> None:
        self.windows, self.num_batches = windows, num_batches
        self.rank, self.world_size, self.start = rank, world_size, start
        self._batches = lru_cache(maxsize=4)(windows.batches)  # workers read ahead of the position that is counted

    def __len__(self) -> int:
        """Return the number of batches in all of training, with those before `start`: Lightning counts them too."""
        return self.num_batches

    def __iter__(self) -> Iterator[Ints]:
        position = self.start
        while True:  # endless: the trainer decides when to stop
            batches = self.at(position)
            yield batches[self.rank]
            position += sum(map(len, batches))

    def after(self, position: int) -> int:
        """Return the position after the global batch that begins at `position`."""
        return position + sum(map(len, self.at(position)))

    def at(self, position: int) -> list[Ints]:
        """Return the positions of each rank's batch, for the global batch that begins at `position`.

        Raises:
            UserError: if no batch begins there.
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
    """Return the indices at which to cut examples of these lengths, so that each part has at most `budget` tokens.

    Raises:
        UserError: if one example alone has more tokens.
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
