"""Attention weights: the weights times the values are what the attention computes, for each kind of encoder."""

import pytest
import torch

from bert_lightning.model import BERT, BertConfig
from bert_lightning.model.attention import MultiHeadAttention
from bert_lightning.model.attention_weights import attention_weights

SIZES = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2,
         "intermediate_size": 32, "max_position_embeddings": 32, "initializer_range": 0.6}  # fmt: skip
FAMILIES = {
    "bert": {},
    "roberta": {"position_offset": 2},
    "albert": {"num_hidden_groups": 1, "embedding_size": 8},
    "distilbert": {"type_vocab_size": 0, "positions": "sinusoidal"},
    "pre-norm": {"norm_order": "pre", "final_norm": True, "linear_bias": False},
    "modernbert": {"norm_order": "pre", "final_norm": True, "positions": "rotary", "local_window": 6,
                   "global_every": 3, "local_rope_theta": 100.0},
}  # fmt: skip


@pytest.mark.parametrize("unpad", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_weights_times_values_are_the_output(family, unpad):
    torch.manual_seed(0)
    encoder = BERT(BertConfig(**SIZES, **FAMILIES[family]), unpad=unpad).eval()
    ids, calls = torch.randint(0, 50, (21,)), []
    for module in encoder.modules():
        if isinstance(module, MultiHeadAttention):
            module.register_forward_hook(lambda module, inputs, output: calls.append((module, inputs, output)))
    weights = attention_weights(encoder, ids)
    assert len(weights) == len(calls) == 4
    for layer, ((module, inputs, output), of_layer) in enumerate(zip(calls, weights, strict=True)):
        value = module.project(*inputs)[2][:21].transpose(0, 1)  # [N, S, D]
        expected = module.output((of_layer @ value).transpose(0, 1).flatten(1))
        torch.testing.assert_close(output[:21], expected, atol=1e-5, rtol=0)
        assert of_layer.shape == (2, 21, 21)
        torch.testing.assert_close(of_layer.sum(-1), torch.ones(2, 21))
        near = (torch.arange(21)[:, None] - torch.arange(21)).abs() <= 3
        assert bool((of_layer[:, ~near] == 0).all()) == encoder.config.is_local(layer)
    before = len(calls)
    encoder(ids[None])
    assert len(weights) == 4, "no hook is left"
    assert len(calls) == before + 4
