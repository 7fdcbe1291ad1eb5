"""The interface of training examples: they return finished batches for positions of the training stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from torch.utils.data import Dataset

from bert_lightning.data.arrays import Ints
from bert_lightning.data.batching.batch_plan import BatchPlan
from bert_lightning.data.batching.sampler import Positions

if TYPE_CHECKING:
    from typing_extensions import Self

Batch = TypeVar("Batch", covariant=True)


class StreamExamples(Dataset[Batch]):
    """Examples that are indexed by batches: `examples[positions]` is the batch at these positions of the stream.

    Subclasses have the shuffle `seed`. If the examples change during training, a subclass also overrides the last three
    members.
    """

    seed: Any

    def __len__(self) -> int:
        """Return the number of examples in an epoch."""
        raise NotImplementedError

    def __getitem__(self, positions: Positions) -> Batch:
        """Return the batch of the examples at `positions`."""
        raise NotImplementedError

    @property
    def longest(self) -> int:
        """Return the maximal number of tokens in an example."""
        raise NotImplementedError

    def lengths(self, positions: Positions) -> Ints:
        """Return the number of tokens in each example at `positions`, [B]."""
        raise NotImplementedError

    @property
    def change_points(self) -> tuple[float, ...]:
        """Return the fractions of the budget at which the examples change."""
        return ()

    def with_plan(self, plan: BatchPlan) -> Self:
        """Return these examples with a plan. The plan gives the fraction of the budget spent at each position."""
        return self

    def phase_starts(self, plan: BatchPlan) -> tuple[int, ...]:
        """Return the position at which each phase of training starts, or `UNREACHED` if the plan does not know it."""
        return ()
