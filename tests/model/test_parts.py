"""Tests of the single parts of an encoder that a config can choose."""

import math

import pytest
import torch
import torch.nn.functional as F

from bert_lightning.model import BERT, BertConfig
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.model.layers import GatedFeedForward, make_norm
from bert_lightning.model.positions import SinusoidalPositions, rotate, rotation

TINY = dict(
    vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=12,
)  # fmt: skip


def test_rms_norm():
    norm = make_norm(BertConfig(**TINY, norm="rms", layer_norm_eps=1e-6), 8)
    x = torch.randn(3, 8)
    torch.testing.assert_close(norm(x), x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt())
    assert [name for name, _ in norm.named_parameters()] == ["weight"]


def test_gated_feed_forward():
    part = GatedFeedForward(4, 6)
    x = torch.randn(3, 4)
    inner, gate = part.up.weight.chunk(2)
    inner_bias, gate_bias = part.up.bias.chunk(2)
    expected = part.down(F.gelu(F.linear(x, inner, inner_bias)) * F.linear(x, gate, gate_bias))
    torch.testing.assert_close(part(x), expected)


def test_sinusoids():
    table = SinusoidalPositions(BertConfig(**TINY))(torch.tensor([0, 3]))
    angles = [3 / 10_000 ** (2 * (j // 2) / 16) for j in range(16)]
    expected = [math.cos(a) if j % 2 else math.sin(a) for j, a in enumerate(angles)]
    assert table[0].tolist() == [0.0, 1.0] * 8
    assert table[1].tolist() == pytest.approx(expected)


def test_rotation_keeps_lengths_and_depends_on_distance_alone():
    query, key = torch.randn(2, 1, 3, 8)
    scores = []
    for start in (0, 5, 40):
        by = rotation(torch.tensor([start, start + 7]), 8, 10_000.0)
        turned = rotate(torch.cat([query, key]), by)  # [2, N, D]
        torch.testing.assert_close(turned.norm(dim=-1), torch.cat([query, key]).norm(dim=-1))
        scores.append((turned[0] * turned[1]).sum(-1))
    torch.testing.assert_close(scores[0], scores[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(scores[0], scores[2], atol=1e-5, rtol=0)


def test_without_positions_order_does_not_matter():
    encoder = BERT(BertConfig(**TINY, positions="none")).eval()
    ids = torch.randint(0, 50, (1, 8))
    order = torch.randperm(8)
    torch.testing.assert_close(encoder(ids)[:, order], encoder(ids[:, order]), atol=1e-6, rtol=0)


def test_a_local_layer_reads_its_neighbours_alone():
    config = BertConfig(**TINY | {"max_position_embeddings": 40}, local_window=6, global_every=2)
    encoder = BERT(config).eval()
    entered = []
    encoder.blocks[1].register_forward_pre_hook(lambda _, inputs: entered.append(inputs))
    hidden = encoder(torch.randint(0, 50, (1, 40)))[0]
    x, layout = entered[0]
    assert torch.equal(encoder.blocks[1](x, layout), hidden)
    changed = x.clone()
    changed[20] += 1
    moved = (encoder.blocks[1](changed, layout) != hidden).any(-1)
    assert moved.nonzero()[:, 0].tolist() == list(range(17, 24))


def test_groups_share_their_blocks_in_order():
    encoder = BERT(BertConfig(**TINY | {"num_hidden_layers": 6}, num_hidden_groups=3))
    calls = []
    for number, block in enumerate(encoder.blocks):
        block.register_forward_hook(lambda *_, n=number: calls.append(n))
    encoder(torch.zeros(1, 3, dtype=torch.long))
    assert calls == [0, 0, 1, 1, 2, 2]


def test_without_two_types_segments_are_not_read():
    ids, types = torch.randint(0, 50, (2, 5)), torch.randint(0, 2, (2, 5))
    for size in (0, 1):
        encoder = BERT(BertConfig(**TINY, type_vocab_size=size)).eval()
        assert torch.equal(encoder(ids, types), encoder(ids))


def test_mlm_head_without_transform_or_bias():
    config = BertConfig(**TINY, mlm_transform=False, mlm_bias=False)
    head, words = MaskedLMHead(config), torch.randn(50, 16)
    hidden = torch.randn(3, 16)
    assert list(head.parameters()) == []
    torch.testing.assert_close(head(hidden, words), hidden @ words.T)


def test_padding_of_the_mlm_head_comes_after_its_logits():
    head, words = MaskedLMHead(BertConfig(**TINY)), torch.randn(50, 16)
    hidden = torch.randn(13, 16)
    padded = head.padded_logits(hidden, words)
    assert padded.shape == (16, 50)
    torch.testing.assert_close(padded[:13], head(hidden, words))


def test_what_adds_to_the_residual_starts_smaller():
    wide = dict(TINY, hidden_size=64, intermediate_size=256, num_hidden_layers=8)
    encoder = BERT(BertConfig(**wide, depth_scaled_init=True))
    for block in encoder.blocks:
        for part, divisor in ((block.attention.output, 4), (block.feed_forward.down, 4), (block.feed_forward.up, 1)):
            assert part.weight.std().item() == pytest.approx(0.02 * 0.8796 / divisor, rel=0.05)


def test_no_biases():
    encoder = BERT(BertConfig(**TINY, linear_bias=False, norm_bias=False))
    assert not [name for name, _ in encoder.named_parameters() if name.endswith("bias")]


def test_a_fixed_table_takes_no_memory_where_sizes_alone_are_asked_for():
    config = BertConfig(**TINY | dict(positions="sinusoidal", max_position_embeddings=2**20, embedding_size=2**20))
    with torch.device("meta"):
        assert SinusoidalPositions(config).table.shape == (2**20, 2**20)
