"""A counter of the FLOPs of a training step that includes PyTorch's fused attention on a CPU."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

Shape = tuple[int, ...]


def make_flop_counter() -> FlopCounterMode:
    """Return a context manager that counts the FLOPs of the matrix products inside it.

    PyTorch's own counter leaves out the fused attention of the CPU.
    """
    aten = torch.ops.aten
    counter = FlopCounterMode(
        display=False,
        custom_mapping={
            aten._scaled_dot_product_flash_attention_for_cpu: _attention,
            aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
        },
    )
    counter.mod_tracker = _NoModules()  # type: ignore[assignment]  # it has what the counter uses
    return counter


class _NoModules(nullcontext[None]):
    """A stand-in for the tracker of modules, since only the sum over all modules is needed.

    The tracker puts hooks on all modules and their gradients. They keep the activations that checkpointing frees.
    """

    parents = frozenset({"Global"})

    def __exit__(self, *_: object) -> None:
        """Do nothing. The counter calls this without an error."""


def _attention(query: Shape, key: Shape, *_: Any, **__: Any) -> int:
    """Return the FLOPs of attention for queries [n, N, q, D] and keys [n, N, s, D]: both of its matrix products."""
    sequences, heads, length, width = query
    return 4 * sequences * heads * length * key[2] * width


def _attention_backward(gradient: Shape, query: Shape, key: Shape, *_: Any, **__: Any) -> int:
    """Return twice the FLOPs of the forward pass. The scores that the kernel recomputes are not counted."""
    return 2 * _attention(query, key)
