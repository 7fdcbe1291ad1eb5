"""The formulas agree with what torch counts on real forward and backward passes."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bert_lightning.compare.costs import costs, encoder_activations, encoder_flops
from bert_lightning.model import BERT, BertConfig
from bert_lightning.objectives.base import JointObjective
from bert_lightning.objectives.pretraining import MaskedLM, NextSentencePrediction
from bert_lightning.objectives.replaced_token_detection import Generator, ReplacedTokenDetection

SMALL = BertConfig(
    vocab_size=100, hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=48, dropout_rate=0.0
)
CONFIGS = {
    "bert": SMALL,
    "factorised": replace(SMALL, embedding_size=8),
    "shared": replace(SMALL, num_hidden_groups=2),
    "gated": replace(SMALL, feed_forward="gated", linear_bias=False),
    "pre-norm, rotary": replace(SMALL, norm_order="pre", positions="rotary", final_norm=True),
}


def counted(program):
    with FlopCounterMode(display=False) as counter:
        program()
    return counter.get_total_flops()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_flops_of_an_encoder(config):
    # With dropout, attention is explicit products; without, the CPU has one operation that the counter does not know.
    # The encoder rounds the sizes of its products up, so that few shapes occur; these are round.
    encoder, ids = BERT(replace(config, dropout_rate=0.1)).train(), torch.randint(0, 100, (4, 64))
    assert counted(lambda: encoder(ids)) == encoder_flops(encoder, 64) * 256


def test_local_layers_read_their_neighbours_only():
    local = replace(SMALL, local_window=8, global_every=2)
    full, near = (encoder_flops(BERT(config), 100) for config in (SMALL, local))
    assert full - near == 2 * 4 * 32 * (100 - 9)
    assert encoder_flops(BERT(local), 5) == encoder_flops(BERT(SMALL), 5)


def test_flops_of_training():
    """A sequence of 20 tokens, 3 of them masked: heads once, backward twice the forward."""
    found = costs(SMALL, lambda c: JointObjective(c, {"mlm": MaskedLM, "nsp": NextSentencePrediction}), 20, 0.15)
    encoder = encoder_flops(BERT(SMALL), 20)
    words = 3 * 2 * (32 * 32 + 32 * 100)
    pair = 2 * (32 * 32 + 32 * 2)
    assert found.forward == encoder
    assert found.training == pytest.approx(3 * (encoder + (words + pair) / 20))


def test_a_decoder_of_its_own_costs_no_more_flops_than_a_tied_one():
    def found(config):
        return costs(config, lambda config: JointObjective(config, {"mlm": MaskedLM}), 64, 0.25)

    tied, own = found(SMALL), found(replace(SMALL, tie_word_embeddings=False))
    assert own.training == tied.training
    assert own.total == tied.total + SMALL.vocab_size * SMALL.hidden_size


def test_flops_with_a_generator():
    terms = {"generator": lambda c: Generator(c, width=0.5), "rtd": ReplacedTokenDetection}
    found = costs(SMALL, lambda c: JointObjective(c, terms), 20, 0.15)
    generator = BERT(replace(SMALL, hidden_size=16, num_attention_heads=1, intermediate_size=24, embedding_size=32))
    heads = 3 * 2 * (16 * 32 + 32 * 100) + 20 * 2 * (32 * 32 + 32)
    expected = encoder_flops(BERT(SMALL), 20) + encoder_flops(generator, 20) + heads / 20
    assert found.training == pytest.approx(3 * expected)


@pytest.mark.parametrize("name", ["bert", "shared", "gated", "pre-norm, rotary"])
def test_memory_is_what_autograd_keeps(name):
    """Bytes that a real pass saves for backward, a layer and token more and more: parameters left out."""
    config = CONFIGS[name]

    def saved(layers):
        encoder = BERT(replace(config, num_hidden_layers=layers)).train()
        own = {parameter.untyped_storage().data_ptr() for parameter in encoder.parameters()}
        kept = {}

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own and tensor.is_floating_point():
                kept[storage.data_ptr()] = (storage.nbytes(), tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            encoder(torch.randint(0, 100, (1, 64)))
        return sum(size for size, _ in kept.values())

    measured = (saved(6) - saved(2)) / 4 / 64 / 4
    assert encoder_activations(BERT(replace(config, num_hidden_layers=2))) / 2 == pytest.approx(measured, rel=0.03)


def test_parameters_that_are_shared_count_once():
    joint = {"mlm": MaskedLM}
    found = costs(SMALL, lambda c: JointObjective(c, joint), 20, 0.15)
    encoder, head = BERT(SMALL), MaskedLM(SMALL)
    assert found.embedding == sum(p.numel() for p in encoder.embeddings.parameters())
    assert found.embedding + found.encoder == sum(p.numel() for p in encoder.parameters())
    assert found.total == found.embedding + found.encoder + sum(p.numel() for p in head.parameters())
    terms = {"generator": lambda c: Generator(c, width=1), "rtd": ReplacedTokenDetection}
    tied = costs(SMALL, lambda c: JointObjective(c, terms), 20, 0.15)
    terms["generator"] = lambda c: Generator(c, width=1, sharing="none")
    apart = costs(SMALL, lambda c: JointObjective(c, terms), 20, 0.15)
    assert apart.total - tied.total == found.embedding
