"""Communication between ranks, so that all of them make the same decision at the same update."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist

from bert_lightning.errors import UserError


class AllRanksError(UserError):
    """An error that every rank raises at the same update, so that the ranks can still save together."""


_GROUPS: dict[Any, Any] = {}  # the default process group -> a group that communicates between CPUs


def max_over_ranks(*values: int) -> list[int]:
    """Return, for each value, the maximum over all ranks. Every rank must call this function, at the same update."""
    return _reduce_over_ranks(values, dist.ReduceOp.MAX)


def sum_over_ranks(*values: int) -> list[int]:
    """Return, for each value, the sum over all ranks. Every rank must call this function, at the same update."""
    return _reduce_over_ranks(values, dist.ReduceOp.SUM)


def gather_over_ranks(value: Any) -> list[Any]:
    """Return a list with the value of each rank, in the order of ranks, on every rank. Every rank must call it."""
    if not distributed():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value, group=_cpu_group())
    return values


def distributed() -> bool:
    """Return whether this process is one of several ranks that can communicate."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _reduce_over_ranks(values: tuple[int, ...], how: Any) -> list[int]:
    if not distributed():
        return list(values)
    reduced = torch.tensor(values)
    dist.all_reduce(reduced, how, group=_cpu_group())
    return [int(value) for value in reduced]


def _cpu_group() -> Any:
    """Return a process group over gloo. Unlike NCCL, it does not wait for the work queued on a GPU."""
    world = dist.group.WORLD
    if world not in _GROUPS:
        _GROUPS.clear()
        _GROUPS[world] = world if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")
    return _GROUPS[world]
