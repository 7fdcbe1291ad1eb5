"""Hidden states, logits and gradients against transformers, with tiny random weights."""

import pytest
import torch

from bert_lightning.model import BERT, BertConfig, BertForPreTraining
from bert_lightning.model.interop import config_from_hugging_face, from_hugging_face, to_hugging_face

transformers = pytest.importorskip("transformers")

SIZES = dict(
    vocab_size=101, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48,
    max_position_embeddings=24, type_vocab_size=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def pair():
    """transformers' model with weights far from the initial ones, and ours with the same weights."""
    torch.manual_seed(0)
    theirs = transformers.BertForPreTraining(transformers.BertConfig(**SIZES)).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    ours = BertForPreTraining(BERT(BertConfig(**SIZES))).eval()
    ours.load_state_dict(from_hugging_face(theirs.state_dict(), SIZES["num_hidden_layers"]))
    return ours, theirs


@pytest.fixture(scope="module")
def batch():
    rng = torch.Generator().manual_seed(1)
    lengths = torch.tensor([24, 7, 1, 15])
    mask = torch.arange(24) < lengths[:, None]
    return {
        "input_ids": torch.randint(0, 101, (4, 24), generator=rng),
        "token_type_ids": torch.randint(0, 2, (4, 24), generator=rng),
        "attention_mask": mask,
    }


def test_hidden_states(pair, batch):
    ours, theirs = pair
    real = batch["attention_mask"]
    expected = theirs.bert(**batch | {"attention_mask": real.long()}, output_hidden_states=True)
    torch.testing.assert_close(ours.bert(**batch)[real], expected.last_hidden_state[real], atol=1e-5, rtol=0)
    pooled = ours.next_sentence.pooler(ours.bert(**batch))
    torch.testing.assert_close(pooled, expected.pooler_output, atol=1e-5, rtol=0)


def test_logits_and_gradients(pair, batch):
    ours, theirs = pair
    real = batch["attention_mask"]
    labels = torch.where(real & (torch.arange(24) % 3 == 0), batch["input_ids"], -100)
    follows = torch.tensor([0, 1, 1, 0])

    words, next_sentence = ours(**batch)
    loss = torch.nn.functional.cross_entropy(words[labels != -100], labels[labels != -100])
    loss = loss + torch.nn.functional.cross_entropy(next_sentence, follows)
    loss.backward()
    expected = theirs(**batch | {"attention_mask": real.long()}, labels=labels, next_sentence_label=follows)
    expected.loss.backward()

    torch.testing.assert_close(loss, expected.loss, atol=1e-5, rtol=0)
    torch.testing.assert_close(words[real], expected.prediction_logits[real], atol=1e-5, rtol=0)
    torch.testing.assert_close(next_sentence, expected.seq_relationship_logits, atol=1e-5, rtol=0)
    theirs_grad = {name: p.grad for name, p in theirs.named_parameters()}
    ours_grad = to_hugging_face({name: p.grad for name, p in ours.named_parameters()})
    assert ours_grad.keys() == theirs_grad.keys()
    for name, gradient in ours_grad.items():
        torch.testing.assert_close(gradient, theirs_grad[name], atol=1e-5, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


def test_logits_at_positions_are_those_of_the_whole(pair, batch):
    from bert_lightning.model import BertForMaskedLM

    mlm = BertForMaskedLM(pair[0].bert).eval()
    positions = torch.tensor([3, 0, 25, 80])
    torch.testing.assert_close(mlm(**batch, positions=positions), mlm(**batch).flatten(0, 1)[positions])


def test_round_trip_keeps_every_tensor(pair):
    ours, theirs = pair
    exported = to_hugging_face(ours.state_dict())
    expected = theirs.state_dict()
    # transformers also lists its tied decoder and a buffer of positions.
    derived = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias", "bert.embeddings.position_ids"}
    assert exported.keys() == expected.keys() - derived
    assert all(torch.equal(exported[name], expected[name]) for name in exported)


def test_old_names_of_layer_norm(pair):
    ours, theirs = pair
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in theirs.state_dict().items()
    }
    converted = from_hugging_face(old, SIZES["num_hidden_layers"])
    assert converted.keys() == ours.state_dict().keys()


@pytest.mark.parametrize("setting", [{"hidden_act": "relu"}, {"model_type": "roberta"}])
def test_unsupported_architecture_is_named(setting):
    with pytest.raises(ValueError, match="=".join([next(iter(setting)), repr(next(iter(setting.values())))])):
        config_from_hugging_face(transformers.BertConfig(**SIZES).to_dict() | setting)
