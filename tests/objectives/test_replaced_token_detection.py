from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from bert_lightning.errors import UserError
from bert_lightning.model import BERT
from bert_lightning.objectives import replaced_token_detection
from bert_lightning.objectives.base import JointObjective
from bert_lightning.objectives.replaced_token_detection import (
    Generator,
    ReplacedTokenDetection,
    generator_config,
    sample,
)


def electra(config, **options):
    makers = {"generator": lambda c: Generator(c, width=0.5, **options), "rtd": ReplacedTokenDetection}
    joint, encoder = JointObjective(config, makers), BERT(config)
    joint.attach(encoder)
    return joint, encoder


@pytest.fixture
def guesses(monkeypatch):
    """What the generator will seem to have sampled: right at the first, third and last masked position."""
    words = torch.tensor([7, 0, 9, 1, 2, 3, 4, 14])
    monkeypatch.setattr(replaced_token_detection, "sample", lambda logits, draws: words)
    return words


def test_labels_and_losses_word_by_word(config, batch, guesses):
    joint, encoder = electra(config)
    joint.eval(), encoder.eval()
    loss, terms = joint(encoder, batch)

    ids = batch["input_ids"].tolist()
    was_replaced = [[0] * 9 for _ in range(4)]
    for position, original, guess in zip(
        batch["masked_positions"].tolist(), batch["masked_labels"].tolist(), guesses.tolist(), strict=True
    ):
        row, column = divmod(position, 9)
        ids[row][column] = guess
        was_replaced[row][column] = int(guess != original)  # the author's word is no replacement
    assert sum(map(sum, was_replaced)) == 5
    head = joint.terms["rtd"].head
    hidden = encoder(torch.tensor(ids), batch["token_type_ids"], batch["attention_mask"])
    detection = []
    for row, length in enumerate([9, 5, 3, 7]):  # every real token, no padding
        for column in range(length):
            x = F.gelu(head.transform(hidden[row, column]))
            p = torch.sigmoid(head.classifier(x))[0]
            detection.append(-torch.log(p if was_replaced[row][column] else 1 - p))
    torch.testing.assert_close(terms["rtd"].loss, torch.stack(detection).mean(), atol=1e-5, rtol=1e-5)

    generator = joint.terms["generator"]
    states = generator.encoder(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"])
    words = generator.head(states.flatten(0, 1)[batch["masked_positions"]], generator.encoder.embeddings.word.weight)
    torch.testing.assert_close(terms["generator"].loss, F.cross_entropy(words, batch["masked_labels"]))
    torch.testing.assert_close(loss, terms["generator"].loss + 50 * terms["rtd"].loss)
    assert joint.counts(batch) == {"generator": 8, "rtd": 24}
    assert terms["rtd"].targets.tolist() == [
        label for row, length in zip(was_replaced, [9, 5, 3, 7], strict=True) for label in row[:length]
    ]


def test_the_batch_itself_is_left_alone(config, batch, guesses):
    joint, encoder = electra(config)
    before = batch["input_ids"].clone()
    joint(encoder, batch)
    assert torch.equal(batch["input_ids"], before)


def gradients(joint, encoder, batch, term):
    joint.zero_grad(), encoder.zero_grad()
    joint(encoder, batch)[1][term].loss.backward()
    everything = {f"encoder.{n}": p.grad for n, p in encoder.named_parameters()}
    everything |= {n: p.grad for n, p in joint.named_parameters()}
    return {name for name, gradient in everything.items() if gradient is not None and gradient.any()}


def test_nothing_flows_through_the_sampled_words(config, batch):
    joint, encoder = electra(config, sharing="none")
    assert not any("generator" in name for name in gradients(joint, encoder, batch, "rtd"))
    assert all("generator" in name for name in gradients(joint, encoder, batch, "generator"))


def test_tied_embeddings_are_one_table_that_both_losses_move(config, batch):
    joint, encoder = electra(config)
    table = "encoder.embeddings.word.weight"
    assert joint.terms["generator"].encoder.embeddings.word.weight is encoder.embeddings.word.weight
    assert joint.terms["generator"].encoder.embeddings.position.weight is encoder.embeddings.position.weight
    assert table in gradients(joint, encoder, batch, "rtd")
    assert table in gradients(joint, encoder, batch, "generator")


def test_disentangled_embeddings_are_a_sum_of_which_each_loss_moves_its_own_part(config, batch):
    joint, encoder = electra(config, sharing="disentangled")
    generator = joint.terms["generator"].encoder.embeddings.word
    own = encoder.embeddings.word.parametrizations.weight.original
    torch.testing.assert_close(encoder.embeddings.word.weight, generator.weight)
    with torch.no_grad():
        own.normal_()
    torch.testing.assert_close(encoder.embeddings.word.weight, generator.weight + own)
    assert not any("generator" in name for name in gradients(joint, encoder, batch, "rtd"))
    assert own.grad.any()
    assert not any("encoder.embeddings.word" in n for n in gradients(joint, encoder, batch, "generator")
                   if "generator" not in n)  # fmt: skip


def test_a_checkpoint_of_disentangled_embeddings_serves_readers_and_resumes(config):
    joint, encoder = electra(config, sharing="disentangled")
    with torch.no_grad():
        encoder.embeddings.word.parametrizations.weight.original.normal_()
    tensors = encoder.state_dict()
    plain = BERT(config)
    plain.load_state_dict({name: tensors[name] for name in plain.state_dict()})
    torch.testing.assert_close(plain.embeddings.word.weight, encoder.embeddings.word.weight)
    other_joint, other = electra(config, sharing="disentangled")
    other_joint.load_state_dict(joint.state_dict())
    other.load_state_dict(tensors)
    assert torch.equal(other.embeddings.word.weight, encoder.embeddings.word.weight)


def test_samples_follow_the_softmax():
    logits = torch.tensor([2.0, 0.0, -1.0, float("-inf"), 1.0])
    drawn = sample(logits.expand(200_000, -1), torch.rand(200_000, generator=torch.Generator().manual_seed(0)))
    frequency = drawn.bincount(minlength=5) / len(drawn)
    torch.testing.assert_close(frequency, logits.softmax(-1), atol=5e-3, rtol=0)
    assert frequency[3] == 0


def test_samples_are_the_batchs_own_and_not_of_the_random_state(config, batch):
    joint, encoder = electra(replace(config, dropout_rate=0.0))
    before = torch.get_rng_state()
    first, second = joint(encoder, batch)[0], joint(encoder, batch)[0]
    assert first == second
    assert torch.equal(torch.get_rng_state(), before)
    draws = batch["sampling_uniforms"].flip(0)
    assert joint(encoder, {**batch, "sampling_uniforms": draws})[0] != first


@pytest.mark.parametrize(
    ("sizes", "width", "expected"),  # google-research/electra `get_generator_config`
    [
        ((256, 4, 1024), 0.25, (64, 1, 256)),
        ((768, 12, 3072), 1 / 3, (256, 4, 1024)),
        ((1024, 16, 4096), 0.25, (256, 4, 1024)),
    ],
)
def test_the_generator_has_the_published_sizes(config, sizes, width, expected):
    names = ("hidden_size", "num_attention_heads", "intermediate_size")
    derived = generator_config(replace(config, **dict(zip(names, sizes, strict=True))), width, {})
    assert tuple(getattr(derived, name) for name in names) == expected
    assert derived.vocab_size == config.vocab_size


def test_given_fields_win(config):
    assert generator_config(config, 1.0, {"num_hidden_layers": 1}).num_hidden_layers == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 2}, "width=2 of the generator"),
        ({"width": 0}, "width=0 of the generator"),
        (
            {"fields": {"num_attention_heads": 3}},
            "generator of width=0.5 has no valid config: .*num_attention_heads=3",
        ),
        ({"fields": {"hiden_size": 9}}, "the generator of width=0.5.*hiden_size"),
        ({"sharing": "some"}, "sharing=some of the generator's embeddings must be one of tied, disentangled, none"),
    ],
)
def test_what_makes_no_generator_is_named(config, options, message):
    with pytest.raises(UserError, match=message):
        Generator(config, **{"width": 0.5} | options)


def test_detection_needs_a_generator(config, batch):
    joint = JointObjective(config, {"rtd": ReplacedTokenDetection})
    with pytest.raises(UserError, match=r"objective.terms.rtd needs replaced, which neither these examples"):
        joint.check(None, 9, batch)
