import pytest
import torch

from bert_lightning.errors import UserError
from bert_lightning.model import BERT, BertConfig
from bert_lightning.optim import Linear, parameter_groups


def test_matrices_decay_and_vectors_do_not():
    bert = BERT(BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2))
    decayed, kept = parameter_groups(bert, 0.01)
    names = {id(parameter): name for name, parameter in bert.named_parameters()}
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.01, 0.0)
    assert len(decayed["params"]) + len(kept["params"]) == len(names)
    assert all("norm" in names[id(p)] or names[id(p)].endswith("bias") for p in kept["params"])
    assert not any("norm" in names[id(p)] or names[id(p)].endswith("bias") for p in decayed["params"])


def test_linear_schedule():
    factors = [Linear(0.1)(step, 100) for step in range(101)]
    assert factors[:10] == pytest.approx([(i + 1) / 11 for i in range(10)])
    assert max(factors) == factors[10] == 1
    assert factors[10:] == pytest.approx(torch.linspace(1, 0, 91).tolist())
    assert factors[99] > 0
    assert [Linear(0.0)(step, 4) for step in range(4)] == [1, 0.75, 0.5, 0.25]


def test_warmup_is_a_share():
    with pytest.raises(UserError, match="warmup=10000 is the share of steps"):
        Linear(10000)
