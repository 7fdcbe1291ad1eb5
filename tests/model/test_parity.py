"""Every family equals transformers with tiny random weights: hidden states, logits, losses and gradients."""

from dataclasses import dataclass, field

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bert_lightning.model import BERT, BertForMaskedLM
from bert_lightning.model.heads import MaskedLMHead, NextSentenceHead, ReplacedTokenHead
from bert_lightning.model.hugging_face.conversion import (
    config_from_hugging_face,
    config_to_hugging_face,
    from_hugging_face,
    to_hugging_face,
)
from bert_lightning.model.hugging_face.families import FAMILIES

transformers = pytest.importorskip("transformers")

BERT_SIZES = dict(
    vocab_size=101, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48,
    max_position_embeddings=24, type_vocab_size=2,
)  # fmt: skip


@dataclass
class Case:
    """transformers' model and config of a family, and the loss that its labels make."""

    model: str
    config: str
    settings: dict
    heads: tuple[str, ...]
    has_types: bool = True
    pad: int = 0
    not_ours: tuple[str, ...] = ()  # tensors of theirs that ours do without
    labels: dict = field(default_factory=dict)


CASES = {
    "bert": Case("BertForPreTraining", "BertConfig", BERT_SIZES, ("masked_lm", "next_sentence")),
    "bert, tanh": Case(
        "BertForPreTraining", "BertConfig", BERT_SIZES | {"hidden_act": "gelu_new"}, ("masked_lm", "next_sentence")
    ),
    "roberta": Case(
        "RobertaForMaskedLM", "RobertaConfig",
        BERT_SIZES | {"type_vocab_size": 1, "max_position_embeddings": 26, "layer_norm_eps": 1e-5},
        ("masked_lm",), has_types=False, pad=1,
    ),
    "albert, 1 group": Case(
        "AlbertForPreTraining", "AlbertConfig", BERT_SIZES | {"embedding_size": 16, "num_hidden_layers": 4},
        ("masked_lm", "next_sentence"),
    ),
    "albert, 2 groups": Case(
        "AlbertForPreTraining", "AlbertConfig",
        BERT_SIZES | {"embedding_size": 16, "num_hidden_layers": 4, "num_hidden_groups": 2},
        ("masked_lm", "next_sentence"),
    ),
    "distilbert": Case(
        "DistilBertForMaskedLM", "DistilBertConfig",
        dict(vocab_size=101, dim=32, n_layers=3, n_heads=4, hidden_dim=48, max_position_embeddings=24),
        ("masked_lm",), has_types=False,
    ),
    "distilbert, sinusoidal": Case(
        "DistilBertForMaskedLM", "DistilBertConfig",
        dict(vocab_size=101, dim=32, n_layers=3, n_heads=4, hidden_dim=48, max_position_embeddings=24,
             sinusoidal_pos_embds=True),
        ("masked_lm",), has_types=False, not_ours=("distilbert.embeddings.position_embeddings.weight",),
    ),
    "electra generator": Case(
        "ElectraForMaskedLM", "ElectraConfig", BERT_SIZES | {"embedding_size": 16}, ("masked_lm",)
    ),
    "electra discriminator": Case(
        "ElectraForPreTraining", "ElectraConfig", BERT_SIZES | {"embedding_size": 16}, ("replaced_tokens",)
    ),
    "electra, one width": Case(
        "ElectraForPreTraining", "ElectraConfig", BERT_SIZES | {"embedding_size": 32}, ("replaced_tokens",)
    ),
    "modernbert": Case(
        "ModernBertForMaskedLM", "ModernBertConfig",
        dict(vocab_size=101, hidden_size=32, num_hidden_layers=5, num_attention_heads=4, intermediate_size=24,
             max_position_embeddings=24, local_attention=6, global_attn_every_n_layers=3, pad_token_id=0),
        ("masked_lm",), has_types=False,
    ),
}  # fmt: skip
HEADS = {"masked_lm": MaskedLMHead, "next_sentence": NextSentenceHead, "replaced_tokens": ReplacedTokenHead}


class Ours(nn.Module):
    """The encoder and the heads of a case, under the names that interop uses."""

    def __init__(self, config, heads):
        super().__init__()
        self.bert = BERT(config)
        for name in heads:
            self.add_module(name, HEADS[name](config))

    def forward(self, **inputs):
        hidden = self.bert(**inputs)
        out = {"hidden": hidden}
        for name, head in self.named_children():
            if name == "masked_lm":
                out[name] = head(hidden, self.bert.embeddings.word.weight)
            elif name != "bert":
                out[name] = head(hidden)
        return out


@pytest.fixture(scope="module", params=CASES, ids=CASES)
def pair(request):
    """transformers' model with weights far from the initial ones, ours with the same weights, and the case."""
    case = CASES[request.param]
    torch.manual_seed(0)
    settings = getattr(transformers, case.config)(**case.settings, attn_implementation="eager")
    theirs = getattr(transformers, case.model)(settings).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if name not in case.not_ours:
                parameter.add_(0.1 * torch.randn_like(parameter))
    config = config_from_hugging_face(theirs.config.to_dict())
    ours = Ours(config, case.heads).eval()
    ours.load_state_dict(from_hugging_face(theirs.state_dict(), config, theirs.config.model_type))
    return ours, theirs, case


@pytest.fixture(scope="module")
def batch(pair):
    rng = torch.Generator().manual_seed(1)
    mask = torch.arange(24) < torch.tensor([24, 7, 1, 15])[:, None]
    ids = torch.randint(2, 101, (4, 24), generator=rng)
    inputs = {"input_ids": torch.where(mask, ids, pair[2].pad), "attention_mask": mask.long()}
    if pair[2].has_types:
        inputs["token_type_ids"] = torch.randint(0, 2, (4, 24), generator=rng)
    return inputs


def test_states_of_every_layer(pair, batch):
    ours, theirs, _ = pair
    real = batch["attention_mask"].bool()
    wanted = theirs(**batch, output_hidden_states=True).hidden_states
    found = [*ours.bert.layer_states(**batch)]
    assert len(found) == len(wanted) == 1 + ours.bert.config.num_hidden_layers
    for mine, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine[real], other[real], atol=1e-5, rtol=1e-4)
        assert not mine[~real].any()


def test_hidden_states(pair, batch):
    ours, theirs, _ = pair
    real = batch["attention_mask"].bool()
    expected = getattr(theirs, theirs.base_model_prefix)(**batch)
    torch.testing.assert_close(ours.bert(**batch)[real], expected.last_hidden_state[real], atol=1e-5, rtol=0)


def labels(case, batch):
    """What transformers is asked, by the names of its arguments."""
    real = batch["attention_mask"].bool()
    if "replaced_tokens" in case.heads:
        return {"labels": (batch["input_ids"] % 3 == 0).long()}
    words = torch.where(real & (torch.arange(24) % 3 == 0), batch["input_ids"], -100)
    if "next_sentence" not in case.heads:
        return {"labels": words}
    name = "next_sentence_label" if case.model.startswith("Bert") else "sentence_order_label"
    return {"labels": words, name: torch.tensor([0, 1, 1, 0])}


def our_loss(out, asked, real):
    if "replaced_tokens" in out:
        return F.binary_cross_entropy_with_logits(out["replaced_tokens"][real], asked["labels"][real].float())
    chosen = asked["labels"] != -100
    loss = F.cross_entropy(out["masked_lm"][chosen], asked["labels"][chosen])
    pairs = [value for name, value in asked.items() if name != "labels"]
    return loss + sum(F.cross_entropy(out["next_sentence"], pair) for pair in pairs)


@pytest.mark.parametrize("unpad", [True, False])
def test_logits_loss_and_gradients(pair, batch, unpad):
    ours, theirs, case = pair
    ours.bert.unpad = unpad
    real, asked = batch["attention_mask"].bool(), labels(case, batch)
    ours.zero_grad()
    theirs.zero_grad()
    out = ours(**batch)
    loss = our_loss(out, asked, real)
    loss.backward()
    expected = theirs(**batch, **asked)
    expected.loss.backward()

    torch.testing.assert_close(loss, expected.loss, atol=1e-5, rtol=0)
    if "next_sentence" in out:
        words, follows = expected.prediction_logits, expected.get("seq_relationship_logits", expected.get("sop_logits"))
        torch.testing.assert_close(out["next_sentence"], follows, atol=1e-5, rtol=0)
    else:
        words = expected.logits
    torch.testing.assert_close(out[case.heads[0]][real], words[real], atol=1e-5, rtol=0)

    theirs_grad = {name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}
    family = theirs.config.model_type
    ours_grad = to_hugging_face({name: p.grad for name, p in ours.named_parameters()}, ours.bert.config, family)
    if ours.bert.config.positions == "sinusoidal":  # a fixed table is written, and has no gradient
        del ours_grad["distilbert.embeddings.position_embeddings.weight"]
    assert ours_grad.keys() == theirs_grad.keys() - set(case.not_ours)
    for name, gradient in ours_grad.items():
        torch.testing.assert_close(gradient, theirs_grad[name], atol=1e-5, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


def test_logits_at_positions_are_those_of_the_whole(pair, batch):
    mlm = BertForMaskedLM(pair[0].bert).eval()
    positions = torch.tensor([3, 0, 25, 80])
    torch.testing.assert_close(mlm(**batch, positions=positions), mlm(**batch).flatten(0, 1)[positions])


def test_round_trip_keeps_every_tensor(pair):
    ours, theirs, case = pair
    exported = to_hugging_face(ours.state_dict(), ours.bert.config, theirs.config.model_type)
    expected = theirs.state_dict()
    # transformers also lists its tied decoders and buffers of positions; poolers without a head are nowhere in ours.
    tied = {
        name for name in expected if "decoder." in name or name.endswith(("position_ids", "vocab_projector.weight"))
    }
    tied |= {name for name in expected if name.endswith(("lm_head.weight", "token_type_ids"))} | set(case.not_ours)
    assert exported.keys() - tied == expected.keys() - tied
    assert all(torch.equal(exported[name], expected[name]) for name in exported)


def test_a_model_without_heads_gives_the_same_encoder(pair):
    ours, theirs, _ = pair
    bare = getattr(theirs, theirs.base_model_prefix).state_dict()
    converted = from_hugging_face(bare, ours.bert.config, theirs.config.model_type)
    wanted = {f"bert.{name}": tensor for name, tensor in ours.bert.state_dict().items()}
    assert converted.keys() >= wanted.keys()
    assert all(torch.equal(converted[name], tensor) for name, tensor in wanted.items())


def test_config_round_trip(pair):
    ours, theirs, _ = pair
    settings = config_to_hugging_face(ours.bert.config, theirs.config.model_type)
    assert config_from_hugging_face(settings) == ours.bert.config
    understood = getattr(transformers, type(theirs.config).__name__)(**settings)
    assert config_from_hugging_face(understood.to_dict()) == ours.bert.config


def test_old_names_of_layer_norm(pair):
    ours, theirs, _ = pair
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in theirs.state_dict().items()
    }
    converted = from_hugging_face(old, ours.bert.config, theirs.config.model_type)
    assert converted.keys() == ours.state_dict().keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_config_leaves_out_has_the_value_of_transformers(family):
    theirs = transformers.AutoConfig.for_model(family).to_dict()
    if family == "albert":
        theirs["embedding_size"] = 64  # any value but hidden_size
    assert config_from_hugging_face(theirs) == config_from_hugging_face(
        {"model_type": family, **({"embedding_size": 64} if family == "albert" else {})}
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"hidden_act": "relu"}, "hidden_act='relu' is not supported: use gelu"),
        ({"model_type": "gpt2"}, "model_type='gpt2' is not supported: this encoder reads bert, roberta"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type='relative_key'"),
        ({"model_type": "albert", "inner_group_num": 2}, "inner_group_num=2"),
        ({"model_type": "modernbert", "mlp_bias": True}, "mlp_bias=True"),
        ({"model_type": "modernbert", "num_hidden_layers": 3, "layer_types": ["sliding_attention"] * 3}, "layer_types"),
    ],
)
def test_unsupported_architecture_is_named(setting, message):
    with pytest.raises(ValueError, match=message):
        config_from_hugging_face(setting)


def test_a_mixed_recipe_says_why_it_is_no_bert():
    config = config_from_hugging_face({"model_type": "modernbert"})
    with pytest.raises(ValueError, match="feed_forward='gated' cannot be written as bert, which has 'plain'"):
        config_to_hugging_face(config, "bert")
