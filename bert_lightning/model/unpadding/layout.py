"""Layouts: which tokens of a padded batch the encoder computes, and which of them attend to each other.

A batch arrives as [B, S] with padding. The encoder computes only its T real tokens, [T, H]. A layout converts between
the two forms. Only attention needs to know where one sequence ends and the next begins. So a layout also has the groups
of sequences that attention computes together.

Sizes are rounded up a little, because oneDNN in bf16 compiles a program for each size, and keeps 1,024 of them. The
first matrix product of a size takes several times as long as later ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from bert_lightning.model.unpadding.local_attention import limit_groups_to_window, mask_beyond_window
from bert_lightning.model.unpadding.padded_rows import AttentionGroup, PaddedRows

MAX_GROUPS = 8
GROUP_COST = 4096  # overhead of one more group, as the number of attention scores computed in the same time


def bucket_size(count: int) -> int:
    """Round a count up to the next bucket size. There are at most 32 sizes between two powers of two.

    If `count` is at least 128, the result is at most 1/16 larger.
    """
    step = max(8, 1 << max(0, count.bit_length() - 6))
    return -(-count // step) * step


@dataclass(frozen=True)
class Layout:
    """The tokens that the encoder computes, and where their results go.

    Tokens are ordered by sequence, the longest sequence first. Fillers may follow the last group. They are tokens that
    round T and Q up to a bucket size. Their results are never read.
    """

    tokens: Tensor  # [T] int64, index of each token in the flattened batch [B * S]
    positions: Tensor  # [T] int64, position of each token, counted from the first token of its sequence
    sizes: Tensor  # [n] int64, number of tokens of each sequence
    groups: tuple[AttentionGroup, ...]
    queries: Tensor | None  # [Q] int64, ascending: the tokens whose results are wanted, then fillers; None: all T
    result_indices: Tensor  # [Q without fillers] int64, index of each result in the flattened `shape`
    shape: tuple[int, ...]  # shape of the result without H: (B, S), or (M,) if results at M positions are wanted
    rotation: Tensor | None = None  # [T, 2, D / 2], rotation of queries and keys; None: no rotation

    def pack(self, x: Tensor) -> Tensor:
        """Select the tokens that are computed, [B, S] -> [T]."""
        return x.flatten()[self.tokens]

    def at_queries(self, x: Tensor) -> Tensor:
        """Select the tokens whose results are wanted, [T, H] -> [Q, H]."""
        return x if self.queries is None else x[self.queries]

    def unpack(self, x: Tensor) -> Tensor:
        """Scatter the results into the form of the padded batch, [Q, H] -> [*shape, H], with 0 at padding."""
        result = x.new_zeros(math.prod(self.shape), x.size(-1))
        return result.index_copy(0, self.result_indices, x[: len(self.result_indices)]).unflatten(0, self.shape)

    def select_queries(self, positions: Tensor) -> Layout:
        """Return a layout of the same tokens that gives results only at `positions`, in that order.

        `positions` [M] are indices into the flattened batch [B * S].
        """
        token_at = torch.full((math.prod(self.shape),), -1, device=positions.device)
        tokens = Layout.at_queries(self, torch.arange(len(self.tokens), device=positions.device))
        token_at[self.result_indices] = tokens[: len(self.result_indices)]
        tokens, order = token_at[positions].sort(stable=True)  # padding is -1, and so comes first
        real = tokens >= 0
        queries = tokens[real]
        groups, shape = self._with_queries(queries), tuple(positions.shape)
        return replace(self, groups=groups, queries=_pad_to_bucket(queries), result_indices=order[real], shape=shape)

    def limit_to_window(self, distance: int) -> Layout:
        """Return a layout for local attention: a token attends to `distance` positions on each side, and no others."""
        asked = Layout.at_queries(self, torch.arange(len(self.tokens), device=self.tokens.device))
        return replace(self, groups=limit_groups_to_window(self.groups, self.sizes, self.positions, asked, distance))

    def _with_queries(self, queries: Tensor) -> tuple[AttentionGroup, ...]:
        """Return the attention groups, with only the tokens `queries` [Q] as queries."""
        sequence = torch.searchsorted(self.sizes.cumsum(0), queries, right=True)
        counts = sequence.bincount(minlength=len(self.sizes))
        rows = [group.keys.rows for group in self.groups]
        return tuple(
            replace(group, queries=PaddedRows.from_sizes(part, part.tolist()))
            for group, part in zip(self.groups, counts.split(rows), strict=True)
        )


class PaddedLayout(Layout):
    """A layout that computes every position of the batch, padding included. It serves as a plain reference."""

    def at_queries(self, x: Tensor) -> Tensor:
        return x

    def unpack(self, x: Tensor) -> Tensor:
        return super().unpack(super().at_queries(x))

    def limit_to_window(self, distance: int) -> Layout:
        groups = (mask_beyond_window(group, self.positions, self.positions, distance) for group in self.groups)
        return replace(self, groups=tuple(groups))

    def _with_queries(self, queries: Tensor) -> tuple[AttentionGroup, ...]:
        return self.groups


def unpadded_layout(mask: Tensor) -> Layout:
    """Return the layout of the tokens of a batch that are not padding.

    `mask` [B, S] is 0 at padding. Tokens of the first, second, third... packed example of a row have 1, 2, 3...
    """
    example, positions = _examples(mask)
    tokens = mask.flatten().nonzero()[:, 0]
    example, order = example[tokens].sort(stable=True)  # a mask may number the examples of a row in any order
    sizes = example.unique_consecutive(return_counts=True)[1]
    starts = sizes.cumsum(0) - sizes
    by_size = sizes.argsort(descending=True, stable=True)
    sizes = sizes[by_size]
    shift = starts[by_size] - (sizes.cumsum(0) - sizes)  # leads from an index in longest-first order to the old index
    tokens = tokens[order][torch.arange(len(tokens), device=mask.device) + shift.repeat_interleave(sizes)]
    filled = _pad_to_bucket(tokens)
    return Layout(filled, positions[filled], sizes, _groups(sizes), None, tokens, tuple(mask.shape))


def padded_layout(mask: Tensor) -> Layout:
    """Return the layout of every position of a batch, in one group. `mask` is as in `unpadded_layout`."""
    batch, length = mask.shape
    _, positions = _examples(mask)
    real = mask.flatten().nonzero()[:, 0]
    readable = mask[:, None, :] == mask[:, :, None] if mask.numel() and mask.max() > 1 else mask.bool()[:, None]
    # A token without keys attends to all positions, because a softmax over no key is NaN.
    readable = readable | ~readable.any(-1, keepdim=True)
    rows = PaddedRows(batch * length, batch, length, None)
    tokens = torch.arange(batch * length, device=mask.device)
    groups = (AttentionGroup(rows, rows, readable[:, None]),) if batch * length else ()
    sizes = torch.full((batch,), length, device=mask.device)
    return PaddedLayout(tokens, positions, sizes, groups, real, real, (batch, length))


def _examples(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return, for each token of the batch, the number of its example and its position in it: 2 x [B * S].

    Example numbers are unique in the batch.
    """
    batch, length = mask.shape
    numbers = 1 + (int(mask.max()) if mask.numel() else 0)
    columns = torch.arange(length, device=mask.device).repeat(batch)
    example = (mask + numbers * torch.arange(batch, device=mask.device)[:, None]).flatten()
    first = columns.new_full((batch * numbers,), length).scatter_reduce(0, example, columns, "amin")
    return example, (columns - first[example]) * (mask.flatten() > 0)  # padding has position 0, a row of every table


def _pad_to_bucket(tokens: Tensor) -> Tensor:
    """Append fillers to the tokens until their number is a bucket size. Any token serves as a filler."""
    return torch.cat([tokens, tokens[:1].expand(bucket_size(len(tokens)) - len(tokens))])


def _groups(sizes: Tensor) -> tuple[AttentionGroup, ...]:
    groups = []
    for part in sizes.split(group_by_length(sizes.tolist())):
        rows = PaddedRows.from_sizes(part, part.tolist())
        columns = torch.arange(rows.width, device=sizes.device)
        mask = None if rows.slots is None else (columns < part[:, None])[:, None, None]
        groups.append(AttentionGroup(rows, rows, mask))
    return tuple(groups)


def group_by_length(sizes: Sequence[int], most: int = MAX_GROUPS) -> list[int]:
    """Split sequences into at most `most` groups at the least total cost. Return the number of sequences in each group.

    `sizes` has the lengths in descending order. A group of n sequences costs n * longest^2 + GROUP_COST. A group ends
    at a multiple of a sixteenth of the sequences, so that few shapes occur. Dynamic programming finds the best of these
    splits.
    """
    if not sizes:
        return []
    step = -(-len(sizes) // 16)
    longest = torch.tensor(sizes[::step], dtype=torch.float64)
    ends = torch.tensor([*range(0, len(sizes), step), len(sizes)])  # [L + 1], sequences before each possible cut
    members = (ends[None, :] - ends[:, None]).double()  # [L + 1, L + 1], sequences of a group from cut i to cut j
    cost = torch.where(members > 0, members * F.pad(longest**2, (0, 1))[:, None] + GROUP_COST, torch.inf)
    best = torch.full((len(ends),), torch.inf, dtype=torch.float64)
    best[0] = 0  # best[j]: least cost of the sequences before cut j; each round allows one more group
    starts, totals = [], []
    for _ in range(min(most, len(longest))):
        best, start = (best[:, None] + cost).min(0)
        starts.append(start)
        totals.append(float(best[-1]))
    bounds = [len(longest)]
    for start in reversed(starts[: 1 + totals.index(min(totals))]):
        bounds.insert(0, int(start[bounds[0]]))
    return [int(ends[j] - ends[i]) for i, j in pairwise(bounds)]
