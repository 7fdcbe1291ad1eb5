"""Local attention at the cost of its window: blocks of queries read their own block of keys and its two neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bert_lightning.model.rows import Group, Rows, parts

_BLOCK_STEP = 32  # blocks are multiples of this, and so never tiny


@dataclass(frozen=True)
class Neighbourhoods(Rows):
    """Blocks of tokens, each beside the blocks before and after it: a token stands in up to three rows."""

    def spread(self, x: Tensor) -> Tensor:
        """[count, ...] -> [rows, 3 * width, ...]."""
        blocks = super().spread(x)
        edge = torch.zeros_like(blocks[:1])
        before, after = torch.cat([edge, blocks[:-1]]), torch.cat([blocks[1:], edge])
        return torch.cat([before, blocks, after], dim=1)


def nearby(
    groups: Sequence[Group], sizes: Tensor, positions: Tensor, queries: Tensor, distance: int
) -> tuple[Group, ...]:
    """The groups, where a query reads only keys at most `distance` positions away.

    Args:
        groups: of whole sequences, one after another.
        sizes: [n] int64, tokens of each sequence.
        positions: [T] int64, positions of all tokens in their sequences.
        queries: [Q] int64, which tokens ask.
        distance: how far they read to either side.
    """
    asked = parts(queries, [group.queries.count for group in groups])
    places = parts(positions, [group.keys.count for group in groups])
    members = sizes.split([group.keys.rows for group in groups])
    made, first = [], 0
    for group, of_group, tokens, where in zip(groups, members, asked, places, strict=True):
        if group.queries.count:
            group = _near(group, of_group, tokens - first, where, distance)
        first += group.keys.count
        made.append(group)
    return tuple(made)


def masked(group: Group, queries: Tensor, keys: Tensor, distance: int) -> Group:
    """The group with a mask: every product is made. `queries` [q] and `keys` [s] are their positions."""
    near = _within(group.queries.spread(queries), group.keys.spread(keys), distance)
    return replace(group, mask=near if group.mask is None else near & group.mask)


def _near(group: Group, sizes: Tensor, queries: Tensor, positions: Tensor, distance: int) -> Group:
    """The group by blocks where that is less work, else with a mask, else as it is. `queries` are counted within it."""
    if int(positions.max()) <= distance:
        return group
    block = -(-distance // _BLOCK_STEP) * _BLOCK_STEP
    if group.keys.width <= 4 * block:  # where blocks read as much, copying their neighbours costs more
        return masked(group, positions[queries], positions, distance)
    return _in_blocks(sizes, queries, positions, distance, block)


def _in_blocks(sizes: Tensor, queries: Tensor, positions: Tensor, distance: int, block: int) -> Group:
    """A row for each block of each sequence; its mask keeps sequences apart, too."""
    blocks = (sizes + block - 1) // block  # [n]
    last = blocks.cumsum(0) - 1
    of_block = torch.full((int(last[-1]) + 1,), block, device=sizes.device)
    of_block[last] = sizes - (blocks - 1) * block
    ends = of_block.cumsum(0)
    asked = torch.searchsorted(ends, queries, right=True).bincount(minlength=len(ends))
    keys, rows = Neighbourhoods.of(of_block, of_block.tolist()), Rows.of(asked, asked.tolist())
    # Sequences lie too far apart on one line for any token to see another's; 0 is where there is no token.
    stride = int(positions.max()) + distance + 1
    sequence = torch.arange(1, len(sizes) + 1, device=sizes.device).repeat_interleave(sizes, output_size=len(positions))
    line = positions + sequence * stride
    near = _within(rows.spread(line[queries]), keys.spread(line), distance)
    near |= ~near.any(-1, keepdim=True)  # a place without a query reads anything: a softmax over nothing is NaN
    return Group(rows, keys, near)


def _within(rows: Tensor, columns: Tensor, distance: int) -> Tensor:
    """[n, q] and [n, s] -> [n, 1, q, s], true where they are near."""
    return ((rows[:, :, None] - columns[:, None]).abs() <= distance)[:, None]
