"""Local attention in blocks is local attention by a mask, at a cost that grows with the window and not the sequence."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bert_lightning.model import BERT, BertConfig
from bert_lightning.model.unpadding.layout import unpadded_layout
from tests.model.test_unpadded import assert_same, results

SIZES = dict(
    vocab_size=60, hidden_size=32,  num_attention_heads=2, intermediate_size=48, type_vocab_size=2,
    max_position_embeddings=200, dropout_rate=0.0, positions="rotary", local_window=48,
)  # fmt: skip
LENGTH = 200
COLUMNS = torch.arange(LENGTH)
MASKS = {
    "mixed": torch.tensor([200, 199, 129, 97, 96, 40, 1, 0])[:, None] > COLUMNS,
    "full": torch.ones(2, LENGTH, dtype=torch.long),
    "one beside many": torch.tensor([200, 1, 1, 1])[:, None] > COLUMNS,
    "packed": torch.stack([1 + (COLUMNS > 20).long() + (COLUMNS > 170).long(), (COLUMNS < 190) * (1 + COLUMNS // 110)]),
    "gaps": (COLUMNS[None] * torch.tensor([[3], [5]])) % 7 > 1,
}


def encoder(layers, **changed):
    """Every second layer is local, the first is not."""
    torch.manual_seed(0)
    made = BERT(BertConfig(**SIZES | {"global_every": 2, "num_hidden_layers": layers} | changed))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("layers", [3, 2], ids=["last layer global", "last layer local"])
@pytest.mark.parametrize("share", [None, 0.15, 0.0])
def test_blocks_give_what_a_mask_gives(layers, mask, share):
    made = encoder(layers)
    positions = None
    if share is not None:
        real = mask.flatten().nonzero()[:, 0]
        positions = real[
            torch.randperm(len(real), generator=torch.Generator().manual_seed(4))[: int(len(real) * share)]
        ]
    assert_same(results(made, True, mask, positions), results(made, False, mask, positions))


@pytest.mark.slow
def test_blocks_with_dropout_have_its_mean():
    torch.manual_seed(0)
    made = encoder(2, dropout_rate=0.1)
    mask = MASKS["mixed"]
    ids = torch.randint(0, 60, mask.shape)
    with torch.no_grad():
        mean = torch.stack([made(ids, None, mask) for _ in range(200)]).mean(0)
        other = torch.stack([made(ids, None, mask) for _ in range(200)]).mean(0)
        made.unpad = False
        masked = torch.stack([made(ids, None, mask) for _ in range(200)]).mean(0)
    assert (mean - masked).norm() < 1.2 * (mean - other).norm()


@pytest.mark.parametrize("dropout_rate", [0.0, 0.1])
def test_nothing_leaks_between_sequences_in_blocks(dropout_rate):
    made = encoder(3, dropout_rate=dropout_rate)
    mask = MASKS["packed"]
    ids = torch.randint(0, 60, mask.shape)
    changed = ids.clone()
    changed[0, 21:171] = (ids[0, 21:171] + 7) % 60  # all of the second example of the first row
    outputs = []
    for version in (ids, changed):
        torch.manual_seed(1)
        outputs.append(made(version, attention_mask=mask))
    same = (outputs[0] == outputs[1]).all(-1)
    assert not same[0, 21:171].any()
    assert same[0, :21].all()
    assert same[0, 171:].all()
    assert same[1].all()


@pytest.mark.parametrize(("length", "times"), [(400, 1), (800, 2), (1600, 4)])
def test_the_work_grows_with_the_window_times_the_length(length, times):
    layout = unpadded_layout(torch.ones(1, length, dtype=torch.long)).limit_to_window(24)
    (group,) = layout.groups
    scores = group.queries.rows * group.queries.width * group.mask.shape[-1]
    assert scores <= times * 13 * 32 * 96  # 13 blocks of 32 in 400
    assert group.queries.unpad(group.mask[:, 0]).sum() == sum(
        min(i, 24) + min(length - 1 - i, 24) + 1 for i in range(length)
    )


def test_flops_of_a_local_layer_are_counted_by_its_window():
    made = encoder(2, max_position_embeddings=1600).eval()
    counted = []
    for length in (800, 1600):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            made.blocks[1](
                torch.zeros(length, 32), unpadded_layout(torch.ones(1, length, dtype=torch.long)).limit_to_window(24)
            )
        counted.append(counter.get_total_flops())
    assert counted[1] == pytest.approx(2 * counted[0], rel=0.02)
