"""The memory estimate of a training step agrees with networks that are really built."""

import pytest
import torch

from bert_lightning.compare.costs import costs
from bert_lightning.config import memory
from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.objectives.base import JointObjective

SIZE = {"vocab_size": 1000, "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4}
CONFIGS = {
    "bert": BertConfig(**SIZE, intermediate_size=512),
    "albert": BertConfig(**SIZE, intermediate_size=512, embedding_size=32, num_hidden_groups=1),
    "modernbert": BertConfig(
        **SIZE, intermediate_size=192, feed_forward="gated", positions="rotary", type_vocab_size=0, linear_bias=False
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_estimate_is_a_little_below_what_is_built(name):
    with torch.device("meta"):
        built = sum(p.numel() for p in BERT(CONFIGS[name]).parameters())
    assert 0.98 * built <= memory.parameter_count(CONFIGS[name]) <= built


@pytest.mark.parametrize("name", CONFIGS)
def test_what_backward_needs_is_what_the_table_of_models_shows(name):
    shown = costs(CONFIGS[name], lambda config: JointObjective(config, {}), length=64, masked=0.15).memory / 64 / 4
    assert memory.activations_per_token(CONFIGS[name]) == pytest.approx(shown, rel=0.2)


def test_a_step_that_does_not_fit_is_refused(monkeypatch):
    config = CONFIGS["bert"]
    needed = memory.parameter_count(config) * 16 + 1000 * memory.activations_per_token(config) * 4
    monkeypatch.setattr(memory, "available_memory", lambda: needed)
    memory.check_memory(config, tokens=1000)
    monkeypatch.setattr(memory, "available_memory", lambda: needed - 1)
    with pytest.raises(UserError, match=r"needs 0.1 GB or more, and this machine has 0.1 GB: [\d,]+ parameters take"):
        memory.check_memory(config, tokens=1000)
