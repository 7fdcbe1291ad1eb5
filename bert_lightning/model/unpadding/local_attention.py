"""Local attention in blocks: a block of queries attends to its own block of keys and to the two neighbour blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bert_lightning.model.unpadding.padded_rows import AttentionGroup, PaddedRows, split_tokens

_BLOCK_STEP = 32  # block sizes are multiples of this, so that no block is tiny


@dataclass(frozen=True)
class BlockNeighbourhoods(PaddedRows):
    """Rows of three blocks: a block of tokens between its two neighbours. A token occurs in up to three rows."""

    def pad(self, x: Tensor) -> Tensor:
        """Copy tokens into padded rows of three blocks, [count, ...] -> [rows, 3 * width, ...]."""
        blocks = super().pad(x)
        edge = torch.zeros_like(blocks[:1])
        before, after = torch.cat([edge, blocks[:-1]]), torch.cat([blocks[1:], edge])
        return torch.cat([before, blocks, after], dim=1)


def limit_groups_to_window(
    groups: Sequence[AttentionGroup], sizes: Tensor, positions: Tensor, queries: Tensor, distance: int
) -> tuple[AttentionGroup, ...]:
    """Limit attention to a window: return groups whose queries attend only to keys within `distance` positions.

    Args:
        groups: groups of complete sequences, in the order of their tokens.
        sizes: [n] int64, the number of tokens of each sequence.
        positions: [T] int64, the position of every token in its sequence.
        queries: [Q] int64, the indices of the tokens that are queries.
        distance: the number of positions that a query attends to on each side.
    """
    asked = split_tokens(queries, [group.queries.count for group in groups])
    group_positions = split_tokens(positions, [group.keys.count for group in groups])
    members = sizes.split([group.keys.rows for group in groups])
    made, first = [], 0
    for group, group_sizes, tokens, where in zip(groups, members, asked, group_positions, strict=True):
        if group.queries.count:
            group = _limit_group(group, group_sizes, tokens - first, where, distance)
        first += group.keys.count
        made.append(group)
    return tuple(made)


def mask_beyond_window(group: AttentionGroup, queries: Tensor, keys: Tensor, distance: int) -> AttentionGroup:
    """Return the group with a mask that limits the distance. All attention scores are still computed.

    `queries` [q] and `keys` [s] are the positions of queries and keys in their sequences.
    """
    near = _within_distance(group.queries.pad(queries), group.keys.pad(keys), distance)
    return replace(group, mask=near if group.mask is None else near & group.mask)


def _limit_group(
    group: AttentionGroup, sizes: Tensor, queries: Tensor, positions: Tensor, distance: int
) -> AttentionGroup:
    """Limit one group to the window, in blocks if that is less work, else by a mask.

    If all keys are within the window, the group is unchanged. `queries` count from the group's first token.
    """
    if int(positions.max()) <= distance:
        return group
    block = -(-distance // _BLOCK_STEP) * _BLOCK_STEP
    if group.keys.width <= 4 * block:  # blocks would have about as many scores, and copying the neighbours costs extra
        return mask_beyond_window(group, positions[queries], positions, distance)
    return _in_blocks(sizes, queries, positions, distance, block)


def _in_blocks(sizes: Tensor, queries: Tensor, positions: Tensor, distance: int, block: int) -> AttentionGroup:
    """Return a group with one row for each block of each sequence. Its mask also separates the sequences."""
    blocks = (sizes + block - 1) // block  # [n]
    last = blocks.cumsum(0) - 1
    block_sizes = torch.full((int(last[-1]) + 1,), block, device=sizes.device)
    block_sizes[last] = sizes - (blocks - 1) * block
    ends = block_sizes.cumsum(0)
    asked = torch.searchsorted(ends, queries, right=True).bincount(minlength=len(ends))
    keys = BlockNeighbourhoods.from_sizes(block_sizes, block_sizes.tolist())
    rows = PaddedRows.from_sizes(asked, asked.tolist())
    # Number the tokens of all sequences on one line, with gaps wider than the window. Empty slots have number 0.
    stride = int(positions.max()) + distance + 1
    sequence = torch.arange(1, len(sizes) + 1, device=sizes.device).repeat_interleave(sizes, output_size=len(positions))
    line = positions + sequence * stride
    near = _within_distance(rows.pad(line[queries]), keys.pad(line), distance)
    near |= ~near.any(-1, keepdim=True)  # an empty slot attends to all keys, because a softmax over no key is NaN
    return AttentionGroup(rows, keys, near)


def _within_distance(rows: Tensor, columns: Tensor, distance: int) -> Tensor:
    """Return where two positions are at most `distance` apart, [n, q] and [n, s] -> [n, 1, q, s] bool."""
    return ((rows[:, :, None] - columns[:, None]).abs() <= distance)[:, None]
