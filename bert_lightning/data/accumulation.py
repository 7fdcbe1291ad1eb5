"""What each batch counts for, where several make one update.

A loss is a mean over predictions. Batches hold different numbers of them, so the mean of their means is not the mean
over all. The batches of an update are therefore made before the first is handed out, and each is told their mean number
of predictions: JointObjective weighs by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader


@dataclass(frozen=True)
class CountedBatches:
    """The batches of `loader`, each with `mean_counts`: term -> mean number of predictions in the update's batches.

    Args:
        loader: where the batches come from.
        size: how many make an update.
        counts: predictions of each term in a batch.
    """

    loader: DataLoader[Any]
    size: int
    counts: Callable[[Mapping[str, Any]], dict[str, int]]

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        batches = iter(self.loader)
        while update := list(islice(batches, self.size)):
            counts = [self.counts(batch) for batch in update]
            means = {term: sum(count[term] for count in counts) / len(update) for term in counts[0]}
            yield from ({**batch, "mean_counts": means} for batch in update)
