"""Loss weights for several batches of one update, with gradient accumulation or several ranks.

A loss is a mean over predictions. Batches have different numbers of predictions, so the mean of their losses is not the
mean over all predictions. `JointObjective` corrects this if a batch has the mean number of predictions per batch of its
update. So all batches of an update are loaded before the first one is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader


@dataclass(frozen=True)
class CountedBatches:
    """The batches of `loader`, each with the additional key `mean_counts`.

    `mean_counts` maps each term of the objective to the mean number of its predictions in the batches of the update.

    Args:
        loader: data loader of this rank.
        update_batches: number of batches per update on each rank.
        counts: function that returns the number of predictions of each term in a batch.
        mean_over_ranks: function that returns the mean of a tensor over all ranks.
    """

    loader: DataLoader[Any]
    update_batches: int
    counts: Callable[[Mapping[str, Any]], dict[str, int]]
    mean_over_ranks: Callable[[Tensor], Tensor]

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        batches = iter(self.loader)
        while update := list(islice(batches, self.update_batches)):
            counts = [self.counts(batch) for batch in update]
            sums = [sum(count[term] for count in counts) / len(update) for term in counts[0]]
            means = self.mean_over_ranks(torch.tensor(sums, dtype=torch.float64)).tolist()
            yield from ({**batch, "mean_counts": dict(zip(counts[0], means, strict=True))} for batch in update)
