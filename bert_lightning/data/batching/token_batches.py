"""Batches with a maximal number of tokens instead of a number of examples. A batch has examples of similar length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from torch.utils.data import Sampler

from bert_lightning.data.arrays import Ints
from bert_lightning.data.randomness import RandomStream, random_bits, random_permutation
from bert_lightning.errors import UserError

_WINDOW = 64  # batches in a window, if all examples had the maximal length
_SAMPLED_WINDOWS = 8  # windows that estimate the number of examples in a batch


@dataclass(frozen=True)
class Windows:
    """The training stream, cut into windows. Each window is sorted by length and cut into batches in random order.

    Windows limit the sorting, so that the stream keeps its random order outside of them. A window ends with its epoch,
    so every epoch has each example once. A window is a pure function of its first position.

    Args:
        lengths: function (positions) -> number of tokens in each example, without padding.
        epoch_size: number of examples in an epoch.
        longest: maximal number of tokens in an example.
        max_tokens: maximal number of tokens in a batch.
        seed: shuffle seed of the batches in a window.
        begin: position at which the first window begins.

    Raises:
        UserError: if a batch may be too small for one example.
    """

    lengths: Callable[[Ints], Ints]
    epoch_size: int
    longest: int
    max_tokens: int
    seed: int
    begin: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens < self.longest:
            raise UserError(
                f"batch_tokens={self.max_tokens} is less than the longest example: use {self.longest} or more"
            )

    @property
    def examples(self) -> int:
        """Return the number of examples in a window. All windows of an epoch have about the same size."""
        windows = -(-self.epoch_size // (_WINDOW * (self.max_tokens // self.longest)))
        return -(-self.epoch_size // windows)

    def window_at(self, position: int) -> range:
        """Return the positions of the window that contains `position`. It must not be before `begin`."""
        epoch = position - position % self.epoch_size
        start = max(epoch, self.begin)
        first = position - (position - start) % self.examples
        return range(first, min(first + self.examples, epoch + self.epoch_size))

    def batches(self, window: range) -> list[Ints]:
        """Return the positions of each batch in a window, ascending within a batch. The batches are shuffled."""
        positions = np.arange(window.start, window.stop)
        lengths = self.lengths(positions)
        order = np.argsort(-lengths, kind="stable")
        batches = np.split(positions[order], batch_boundaries(lengths[order], self.max_tokens))
        shuffled = random_permutation(
            np.arange(len(batches)), len(batches), random_bits(self.seed, RandomStream.BATCH, window.start)
        )
        return [np.sort(batches[number]) for number in shuffled]

    def epoch_batches(self, epoch: int = 0) -> list[Ints]:
        """Return the positions of each batch of an epoch."""
        starts = range(epoch * self.epoch_size, (epoch + 1) * self.epoch_size, self.examples)
        return [batch for start in starts for batch in self.batches(self.window_at(start))]

    @property
    def sample_size(self) -> int:
        """Return the number of positions that `mean_batch_examples` reads."""
        return _SAMPLED_WINDOWS * self.examples

    def mean_batch_examples(self, lengths: Callable[[Ints], Ints]) -> float:
        """Estimate the mean number of examples per batch, for a stream whose examples have other `lengths`."""
        parts = [
            lengths(np.arange(start, start + self.examples)) for start in range(0, self.sample_size, self.examples)
        ]
        batches = sum(1 + len(batch_boundaries(np.sort(part)[::-1], self.max_tokens)) for part in parts)
        return self.sample_size / batches


class TokenBatches(Sampler[Ints]):
    """Sample the batches of `windows`. The ranks take them in turn, and all ranks get the same number.

    A run can be resumed after any global batch, and skips no batch to get there. Positions are numbers of examples, as
    in `StreamBatches`.

    Args:
        windows: windows from which the batches come.
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
            batches = self.global_batch_at(position)
            yield batches[self.rank]
            position += sum(map(len, batches))

    def after(self, position: int) -> int:
        """Return the position after the global batch that begins at `position`."""
        return position + sum(map(len, self.global_batch_at(position)))

    def global_batch_at(self, position: int) -> list[Ints]:
        """Return the positions of each rank's batch, for the global batch that begins at `position`.

        Raises:
            UserError: if no batch begins there.
        """
        found: list[Ints] = []
        while len(found) < self.world_size:
            window = self.windows.window_at(position)
            batches = self._batches(window)
            starts = window.start + np.cumsum([0, *map(len, batches)])
            first = int(np.searchsorted(starts, position))
            if starts[first] != position:
                raise UserError(
                    f"no batch of batch_tokens={self.windows.max_tokens} begins at example {position}, where the run "
                    "continues: use the batch_tokens, seed and data that the run began with"
                )
            taken = batches[first : first + self.world_size - len(found)]
            found += taken
            position += sum(map(len, taken))
        return found


def batch_boundaries(lengths: Ints, max_tokens: int) -> list[int]:
    """Return the indices at which to cut examples of these lengths, so that each part has at most `max_tokens` tokens.

    Raises:
        UserError: if a single example has more tokens.
    """
    if (longest := lengths.max()) > max_tokens:
        raise UserError(
            f"batch_tokens={max_tokens} is less than one example of {longest} tokens: use {longest} or more"
        )
    ends = np.cumsum(lengths)
    cuts: list[int] = []
    taken = 0
    while ends[-1] - taken > max_tokens:
        cuts.append(int(np.searchsorted(ends, taken + max_tokens, side="right")))
        taken = int(ends[cuts[-1] - 1])
    return cuts
