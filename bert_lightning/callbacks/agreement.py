"""What all ranks decide together, at the same update."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist

from bert_lightning.errors import UserError


class Agreed(UserError):
    """Raised by every rank at the same update, so that they can still save together."""


_GROUPS: dict[Any, Any] = {}  # the default process group -> a group that talks between CPUs


def agreed(*values: int) -> list[int]:
    """For each value the largest that any rank has. Every rank must ask, at the same update."""
    return _reduced(values, dist.ReduceOp.MAX)


def summed(*values: int) -> list[int]:
    """For each value the sum over all ranks. Every rank must ask, at the same update."""
    return _reduced(values, dist.ReduceOp.SUM)


def gathered(value: Any) -> list[Any]:
    """The values of all ranks, in their order, on every rank."""
    if not distributed():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value, group=_cpu_group())
    return values


def distributed() -> bool:
    """Whether this process is one of several ranks that can talk to each other."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _reduced(values: tuple[int, ...], how: Any) -> list[int]:
    if not distributed():
        return list(values)
    reduced = torch.tensor(values)
    dist.all_reduce(reduced, how, group=_cpu_group())
    return [int(value) for value in reduced]


def _cpu_group() -> Any:
    """A group over gloo: asking it costs a GPU nothing, where asking NCCL would wait for all that is queued."""
    world = dist.group.WORLD
    if world not in _GROUPS:
        _GROUPS.clear()
        _GROUPS[world] = world if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")
    return _GROUPS[world]
