"""Batches of similar length, so that attention computes little padding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch

from bert_lightning.errors import UserError
from bert_lightning.tasks.output import progress

Item = TypeVar("Item")
Result = TypeVar("Result")


CPU_TOKENS = 4096  # tokens of a batch on a CPU: the activations of larger batches leave the processor's caches


def length_batches(
    lengths: Sequence[int], batch_size: int, device: torch.device, show: bool | None = None
) -> Iterable[list[int]]:
    """Return the indices of each batch, the longest items first, so that too little memory is noticed at once.

    Args:
        lengths: the number of tokens of each item.
        batch_size: the maximal number of items in a batch. On a CPU a batch also has at most `CPU_TOKENS` tokens, or
            one item.
        device: the device that computes.
        show: whether a progress bar is shown; None: if standard error is a terminal.

    Raises:
        UserError: if the batch size is not a whole number above 0.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise UserError(f"batch_size={batch_size!r} must be a whole number, 1 or more")
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    batches, start = [], 0
    while start < len(order):
        most = CPU_TOKENS // max(1, lengths[order[start]]) if device.type == "cpu" else batch_size
        batches.append(order[start : start + max(1, min(batch_size, most))])
        start += len(batches[-1])
    return progress(batches, len(batches), show)


def results_in_order(
    items: Sequence[Item],
    lengths: Sequence[int],
    compute: Callable[[list[Item]], Sequence[Result]],
    batch_size: int,
    device: torch.device,
    show: bool | None,
) -> list[Result]:
    """Compute a result for each item in batches of similar length, and return the results in the order of the items."""
    results: list[Any] = [None] * len(items)
    for chosen in length_batches(lengths, batch_size, device, show):
        for index, result in zip(chosen, compute([items[index] for index in chosen]), strict=True):
            results[index] = result
    return results
