"""The FLOPs that are counted are those of the formula by which recipes are compared."""

import pytest
import torch

from bert_lightning.compare.costs import encoder_flops
from bert_lightning.model import BERT, BertConfig
from bert_lightning.runtime.flop_counter import make_flop_counter

FAMILIES = {
    "bert": {},
    "shared layers": {"embedding_size": 16, "num_hidden_groups": 1},
    "gated": {"feed_forward": "gated", "positions": "rotary", "norm_order": "pre"},
}


@pytest.mark.parametrize("dropout_rate", [0.0, 0.1])  # PyTorch's fused attention, and our own
@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_counted_flops_are_those_of_the_formula(family, dropout_rate):
    encoder = BERT(
        BertConfig(
            vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
            max_position_embeddings=64, dropout_rate=dropout_rate, **family,
        )
    )  # fmt: skip
    with make_flop_counter() as counter:
        encoder(torch.zeros(4, 64, dtype=torch.long)).sum().backward()
    assert counter.get_total_flops() == 3 * 4 * 64 * encoder_flops(encoder, 64)
