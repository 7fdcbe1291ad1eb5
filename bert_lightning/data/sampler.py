"""Which positions of the training stream each rank takes, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from bert_lightning.data.randomness import Bits, Stream, draw, permute

Ints = npt.NDArray[np.int64]
Positions = range | Ints  # of the training stream, ascending


def stream_indices(positions: Positions, size: int, seed: int | Bits) -> tuple[Ints, Ints]:
    """Epoch and example of each position of the training stream, both [B].

    The stream is epoch after epoch of `size` examples, each epoch in an order of its own.
    """
    epochs, slots = np.divmod(np.asarray(positions), size)
    return epochs, permute(slots, size, draw(seed, Stream.ORDER, epochs))


@dataclass(frozen=True)
class StreamBatches(Sampler[range]):
    """Batches of consecutive positions; the ranks share each global batch evenly.

    Global batch b is the positions from b * world_size * batch_size on, as many as that. So the same global batch size
    gives the same global batches, whatever the number of ranks. `start` is a position, a count of examples: whoever
    resumes there takes up the stream at once.
    """

    batch_size: int  # sequences of one rank
    num_batches: int
    rank: int = 0
    world_size: int = 1
    start: int = 0

    @property
    def global_batch(self) -> int:
        return self.world_size * self.batch_size

    def __len__(self) -> int:
        """Batches of all of training, with those before `start`: Lightning counts them too."""
        return self.num_batches

    def __iter__(self) -> Iterator[range]:
        for first in range(self.start, self.num_batches * self.global_batch, self.global_batch):
            mine = first + self.rank * self.batch_size
            yield range(mine, mine + self.batch_size)

    def after(self, position: int) -> int:
        """Where the stream goes on after the global batch that begins at `position`."""
        return position + self.global_batch


@dataclass(frozen=True)
class OnceThrough(Sampler[range]):
    """Every position below `size` once, the last batch as short as it comes: for evaluation.

    The ranks take the batches in turn, and none is repeated to make them even: some ranks may have one less.
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
