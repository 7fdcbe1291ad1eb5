from dataclasses import replace

import pytest
import torch
from torch import nn

from bert_lightning.errors import UserError
from bert_lightning.model import BERT, BertConfig
from bert_lightning.optim import build_optimizer, parameter_groups

CONFIG = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=8)


@pytest.fixture
def module():
    """An encoder and something above it, named as in a LightningModule."""
    return nn.ModuleDict({"encoder": BERT(CONFIG), "objective": nn.Linear(8, 2)})


def values(module, key, **options):
    """The groups' value of `key` by parameter name."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    groups = parameter_groups(module, 0.01, **options)
    found = {names[id(p)]: group[key] for group in groups for p in group["params"]}
    assert found.keys() == set(names.values())
    return found


def test_matrices_decay_and_vectors_do_not(module):
    for name, decay in values(module, "weight_decay").items():
        assert decay == (0.0 if "norm" in name or name.endswith("bias") else 0.01), name


@pytest.mark.parametrize("norm_order", ["post", "pre"])
def test_the_matrices_of_blocks_are_marked(norm_order):
    config = replace(CONFIG, norm_order=norm_order)
    module = nn.ModuleDict({"encoder": BERT(config), "objective": nn.Linear(8, 2)})
    for name, hidden in values(module, "hidden").items():
        is_matrix = not ("norm" in name or name.endswith("bias"))
        assert hidden == (name.startswith("encoder.blocks.") and is_matrix), name


@pytest.mark.parametrize("feed_forward", ["plain", "gated"])
def test_stacked_matrices_are_counted(feed_forward):
    """Each count fits the parameter at the same place in the group."""
    module = nn.ModuleDict({"encoder": BERT(replace(CONFIG, feed_forward=feed_forward))})
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    for group in parameter_groups(module, 0.01):
        for parameter, count in zip(group["params"], group["stacked"], strict=True):
            name = names[id(parameter)]
            gated = feed_forward == "gated" and name.endswith("feed_forward.up.weight")
            assert count == (3 if name.endswith("query_key_value.weight") else 2 if gated else 1), name


def test_one_rate_is_the_default(module):
    assert set(values(module, "lr_factor").values()) == {1.0}


def test_layers_near_the_input_learn_more_slowly(module):
    """The factors of google-research/electra's `_get_layer_lrs` with 3 layers and a decay of 0.8."""
    expected = {
        "encoder.embeddings.": 0.8**5,
        "encoder.blocks.0.": 0.8**4,
        "encoder.blocks.1.": 0.8**3,
        "encoder.blocks.2.": 0.8**2,
        "objective.": 1.0,
    }
    factors = values(module, "lr_factor", layer_decay=0.8)
    for name, factor in factors.items():
        (place,) = [prefix for prefix in expected if name.startswith(prefix)]
        assert factor == pytest.approx(expected[place]), name
    optimizer = build_optimizer(lambda g: torch.optim.AdamW(g, lr=2.0), parameter_groups(module, 0.0, 0.8))
    assert {round(group["lr"], 6) for group in optimizer.param_groups} == {round(2 * f, 6) for f in expected.values()}


def test_schedules_move_every_group_by_the_same_factor(module):
    optimizer = build_optimizer(lambda g: torch.optim.SGD(g, lr=1.0), parameter_groups(module, 0.0, 0.5))
    before = [group["lr"] for group in optimizer.param_groups]
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25 * lr for lr in before]


@pytest.mark.parametrize("bad", [0, -1, 1.5])
def test_a_factor_out_of_range_is_named(module, bad):
    with pytest.raises(UserError, match=f"layer_decay={bad} must be above 0"):
        parameter_groups(module, 0.0, bad)
