"""Conversion between packed tokens, [T, ...], and padded rows. Attention is computed in padded rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_WIDTH_STEP = 16  # the width of padded rows is a multiple of this, so that few shapes occur: see layout.py


@dataclass(frozen=True)
class PaddedRows:
    """The slots of `count` consecutive tokens in padded rows, [rows, width].

    `slots` [count] has the index of each token in the flattened rows; None if every slot has a token.
    """

    count: int
    rows: int
    width: int
    slots: Tensor | None

    @classmethod
    def from_sizes(cls, sizes: Tensor, host_sizes: Sequence[int]) -> PaddedRows:
        """Build rows from consecutive tokens, sizes[i] tokens in row i. `host_sizes` is the same numbers as a list."""
        count, rows, width = sum(host_sizes), len(host_sizes), max(host_sizes)
        width = -(-width // _WIDTH_STEP) * _WIDTH_STEP
        if count == rows * width:
            return cls(count, rows, width, None)
        # Token t, the j-th of row i, goes to slot i * width + j: t plus the empty slots in the rows before i.
        empty_before = (width - sizes).cumsum(0) - (width - sizes)
        slots = torch.arange(count, device=sizes.device) + empty_before.repeat_interleave(sizes, output_size=count)
        return cls(count, rows, width, slots)

    def pad(self, x: Tensor) -> Tensor:
        """Copy tokens into padded rows, [count, ...] -> [rows, width, ...], with 0 where there is no token."""
        if self.slots is not None:
            x = x.new_zeros(self.rows * self.width, *x.shape[1:]).index_copy_(0, self.slots, x)
        return x.unflatten(0, (self.rows, self.width))

    def unpad(self, x: Tensor) -> Tensor:
        """Return the tokens of padded rows, [rows, width, ...] -> [count, ...]. It is the inverse of `pad`."""
        x = x.flatten(0, 1)
        return x if self.slots is None else x[self.slots]


@dataclass(frozen=True)
class AttentionGroup:
    """A group of n sequences of similar length. Their attention is computed as one padded batch.

    The tokens of a group are consecutive in [T, H], and those of the next group follow.
    """

    queries: PaddedRows
    keys: PaddedRows
    mask: Tensor | None  # bool, broadcasts to [n, N, q, s]: True where a query may attend to a key; None: to all keys


def split_tokens(x: Tensor, counts: Sequence[int]) -> tuple[Tensor, ...]:
    """Split the leading rows of `x` into parts of counts[i] rows, and drop the filler rows at the end."""
    return x[: sum(counts)].split(list(counts)) if counts else ()
