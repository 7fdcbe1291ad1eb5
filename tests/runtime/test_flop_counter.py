"""The FLOPs that are counted are those of the formula by which recipes are compared."""

import gc
import weakref
from typing import ClassVar

import pytest
import torch
from torch.utils.checkpoint import checkpoint

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


class Square(torch.autograd.Function):
    """x^2, which knows how many of its nodes there are at the same time. A node holds the activations before it."""

    nodes: ClassVar[list] = []
    most = 0

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        Square.nodes.append(weakref.ref(ctx))
        Square.most = max(Square.most, sum(node() is not None for node in Square.nodes))
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


class Layers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)

    def forward(self, x):
        return self.last(Square.apply(self.first(x))).sum()


def test_counting_keeps_no_activations_that_checkpointing_frees():
    layers, chunks = Layers(), torch.ones(64, 4).split(4)
    gc.disable()  # what is kept in a cycle is freed at some time, but not soon
    try:
        with make_flop_counter() as counter:
            losses = [checkpoint(layers, chunk, use_reentrant=False) for chunk in chunks]
            Square.nodes, Square.most = [], 0
            torch.stack(losses).sum().backward()
    finally:
        gc.enable()
    assert counter.get_total_flops() > 0
    assert (len(Square.nodes), Square.most) == (16, 1)  # computed again, one chunk after the other
