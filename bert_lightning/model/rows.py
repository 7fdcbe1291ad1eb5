"""Tokens that follow each other, [T, ...], as the rows of a few padded blocks: what attention computes with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_WIDTH_STEP = 8  # widths of groups are multiples of this


@dataclass(frozen=True)
class Rows:
    """`count` tokens as `rows` rows of `width`; `slots` [count] are their places there, None if every row is full."""

    count: int
    rows: int
    width: int
    slots: Tensor | None

    @classmethod
    def of(cls, sizes: Tensor, host_sizes: Sequence[int]) -> Rows:
        """Row i holds the next sizes[i] tokens; `host_sizes` are the same numbers."""
        count, rows, width = sum(host_sizes), len(host_sizes), max(host_sizes)
        if count == rows * width:
            return cls(count, rows, width, None)
        width = -(-width // _WIDTH_STEP) * _WIDTH_STEP
        # Token t, the j-th of row i, goes to i * width + j: what rows before i leave empty is added to t.
        empty_before = (width - sizes).cumsum(0) - (width - sizes)
        slots = torch.arange(count, device=sizes.device) + empty_before.repeat_interleave(sizes, output_size=count)
        return cls(count, rows, width, slots)

    def spread(self, x: Tensor) -> Tensor:
        """[count, ...] -> [rows, width, ...], 0 where there is no token."""
        if self.slots is not None:
            x = x.new_zeros(self.rows * self.width, *x.shape[1:]).index_copy_(0, self.slots, x)
        return x.unflatten(0, (self.rows, self.width))

    def gather(self, x: Tensor) -> Tensor:
        """[rows, width, ...] -> [count, ...], the inverse."""
        x = x.flatten(0, 1)
        return x if self.slots is None else x[self.slots]


@dataclass(frozen=True)
class Group:
    """n sequences of similar length. Their tokens follow each other in [T, H], those of the next group after them."""

    queries: Rows
    keys: Rows
    mask: Tensor | None  # bool, broadcasts to [n, N, q, s]: True where a key may be read; None: every key


def parts(x: Tensor, counts: Sequence[int]) -> tuple[Tensor, ...]:
    """The next counts[i] rows for each i, without the fillers behind them."""
    return x[: sum(counts)].split(list(counts)) if counts else ()
