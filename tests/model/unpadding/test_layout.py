"""Groups, and the way between a padded batch and its real tokens."""

from itertools import combinations, pairwise

import pytest
import torch

from bert_lightning.model.unpadding.layout import (
    GROUP_COST,
    bucket_size,
    group_by_length,
    padded_layout,
    unpadded_layout,
)
from bert_lightning.model.unpadding.padded_rows import PaddedRows


def cost(sizes, counts):
    ends = [sum(counts[:i]) for i in range(len(counts) + 1)]
    return sum((j - i) * sizes[i] ** 2 + GROUP_COST for i, j in pairwise(ends))


@pytest.mark.parametrize("sizes", [[90, 90, 70, 30, 30, 20, 1], [128, 100, 60, 60, 40, 8, 7, 6], [5] * 6, [400, 1]])
@pytest.mark.parametrize("most", [1, 2, 3])
def test_groups_cost_least_of_all_ways_to_cut(sizes, most):
    best = min(
        cost(sizes, [j - i for i, j in pairwise((0, *inner, len(sizes)))])
        for number in range(most)
        for inner in combinations(range(1, len(sizes)), number)
    )
    counts = group_by_length(sizes, most)
    assert sum(counts) == len(sizes)
    assert len(counts) <= most
    assert cost(sizes, counts) == best


def test_groups_end_at_sixteenths():
    counts = group_by_length(sorted(range(10, 90), reverse=True))
    assert sum(counts) == 80
    assert all(count % 5 == 0 for count in counts)
    assert 2 <= len(counts) <= 8


def test_rounded_sizes_are_few_and_near():
    assert all(count <= bucket_size(count) <= max(count + 7, count * 17 / 16) for count in range(10_000))
    assert [len({bucket_size(count) for count in range(n, 2 * n)}) for n in (256, 1024, 4096)] == [33, 33, 33]


def test_tokens_spread_into_rows_and_back():
    sizes = torch.tensor([3, 1, 2])
    rows = PaddedRows.from_sizes(sizes, sizes.tolist())
    x = torch.arange(1, 7)
    assert rows.pad(x)[:, :3].tolist() == [[1, 2, 3], [4, 0, 0], [5, 6, 0]]
    assert not rows.pad(x)[:, 3:].any()
    assert torch.equal(rows.unpad(rows.pad(x)), x)


MASK = torch.tensor([[1, 1, 0, 1, 0, 0], [2, 2, 2, 1, 1, 0], [0, 0, 0, 0, 0, 0], [1, 2, 3, 3, 3, 3]])


def test_tokens_come_sequence_by_sequence_the_longest_first():
    layout = unpadded_layout(MASK)
    assert layout.sizes.tolist() == [4, 3, 3, 2, 1, 1]
    assert len(layout.tokens) == 16  # two fillers
    assert torch.equal(layout.tokens[:14], layout.result_indices)
    assert layout.result_indices.tolist() == [20, 21, 22, 23, 0, 1, 3, 6, 7, 8, 9, 10, 18, 19]
    assert layout.positions[:14].tolist() == [0, 1, 2, 3, 0, 1, 3, 0, 1, 2, 0, 1, 0, 0]  # a gap keeps its place


@pytest.mark.parametrize("make", [unpadded_layout, padded_layout])
def test_results_return_to_their_places(make):
    layout = make(MASK)
    x = torch.arange(1.0, 25).view(4, 6)
    assert torch.equal(layout.unpack(layout.pack(x)[:, None])[..., 0], x * (MASK > 0))
    wanted = torch.tensor([23, 2, 0, 0, 8])  # 2 is padding, 0 is asked for twice
    reading = layout.select_queries(wanted)
    assert reading.unpack(reading.at_queries(layout.pack(x)[:, None]))[:, 0].tolist() == [24, 0, 1, 1, 9]


@pytest.mark.parametrize("make", [unpadded_layout, padded_layout])
def test_padded_places_have_a_position_that_every_table_holds(make):
    assert make(MASK).positions.max() == 3
    assert make(MASK).positions.min() == 0
