"""Samplers that choose the positions of the training stream for each batch of each rank."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from bert_lightning.data.arrays import Bits, Ints
from bert_lightning.data.randomness import RandomStream, random_bits, random_permutation

Positions = range | Ints  # positions of the training stream, ascending


def stream_indices(positions: Positions, size: int, seed: int | Bits) -> tuple[Ints, Ints]:
    """Return the epoch [B] and the example [B] at each position of the training stream.

    The stream is a sequence of epochs of `size` examples. Each epoch has its own order.
    """
    epochs, slots = np.divmod(np.asarray(positions), size)
    return epochs, random_permutation(slots, size, random_bits(seed, RandomStream.ORDER, epochs))


@dataclass(frozen=True)
class StreamBatches(Sampler[range]):
    """Sample batches of consecutive positions. The ranks share each global batch evenly.

    Global batch b has world_size * batch_size positions, from b * world_size * batch_size on. So the same global batch
    size gives the same global batches for any number of ranks. A resumed run begins at the position `start`, and skips
    no batch to get there.
    """

    batch_size: int  # number of sequences on one rank
    num_batches: int
    rank: int = 0
    world_size: int = 1
    start: int = 0

    @property
    def global_batch(self) -> int:
        """Return the number of sequences in a batch on all ranks together."""
        return self.world_size * self.batch_size

    def __len__(self) -> int:
        """Return the number of batches in all of training, with those before `start`: Lightning counts them too."""
        return self.num_batches

    def __iter__(self) -> Iterator[range]:
        for first in range(self.start, self.num_batches * self.global_batch, self.global_batch):
            mine = first + self.rank * self.batch_size
            yield range(mine, mine + self.batch_size)

    def after(self, position: int) -> int:
        """Return the position after the global batch that begins at `position`."""
        return position + self.global_batch


@dataclass(frozen=True)
class SequentialBatches(Sampler[range]):
    """Sample every position below `size` once, in order, for evaluation. The last batch may be smaller than the others.

    The ranks take the batches in turn. No batch is repeated, so some ranks may have one batch less than others.
    """

    size: int
    batch_size: int
    rank: int = 0
    world_size: int = 1

    def __len__(self) -> int:
        return len(self._starts())

    def __iter__(self) -> Iterator[range]:
        for start in self._starts():
            yield range(start, min(start + self.batch_size, self.size))

    def _starts(self) -> range:
        return range(self.rank * self.batch_size, self.size, self.world_size * self.batch_size)
