import copy
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer, models

from bert_lightning.errors import UserError
from bert_lightning.model import BERT
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.objectives.base import JointObjective
from bert_lightning.objectives.distillation import HiddenCosine, SoftTargets
from bert_lightning.objectives.pretraining import MaskedLM


def vocabulary(*words):
    return Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[0]))


class Loaded(SimpleNamespace):
    """What `runs.pretrained.load` gives, made from modules."""

    def encoder(self):
        return self.bert

    def masked_lm_head(self):
        return copy.deepcopy(self.head)


@pytest.fixture
def teacher(config):
    deeper = replace(config, num_hidden_layers=4, max_position_embeddings=12)
    torch.manual_seed(5)
    return Loaded(config=deeper, bert=BERT(deeper), head=MaskedLMHead(deeper), tokenizer=vocabulary("a", "b", "c"))


def distillation(config, teacher, **options):
    makers = {
        "soft_targets": lambda c: SoftTargets(c, teacher, **options),
        "mlm": lambda c: MaskedLM(c, weight=2.0),
        "hidden_cosine": HiddenCosine,
    }
    joint, encoder = JointObjective(config, makers), BERT(config)
    joint.attach(encoder)
    return joint.eval(), encoder.eval()


def distributions(joint, encoder, teacher, batch, temperature):
    """Student's and teacher's softened distributions over words, [B, S, V], from their definitions."""
    inputs = batch["input_ids"], batch["token_type_ids"], batch["attention_mask"]
    student = joint.terms["mlm"].head(encoder(*inputs), encoder.embeddings.word.weight)
    taught = teacher.head(teacher.bert(*inputs), teacher.bert.embeddings.word.weight)
    return [torch.exp(z / temperature) / torch.exp(z / temperature).sum(-1, keepdim=True) for z in (student, taught)]


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_soft_targets_token_by_token(config, batch, teacher, temperature):
    joint, encoder = distillation(config, teacher, temperature=temperature)
    loss, terms = joint(encoder, batch)
    student, taught = distributions(joint, encoder, teacher, batch, temperature)
    divergences, angles = [], []
    inputs = batch["input_ids"], batch["token_type_ids"], batch["attention_mask"]
    ours, theirs = encoder(*inputs), teacher.bert(*inputs)
    for row, length in enumerate([9, 5, 3, 7]):
        for column in range(length):
            p, q = taught[row, column], student[row, column]
            divergences.append((p * (p / q).log()).sum() * temperature**2)
            u, v = ours[row, column], theirs[row, column]
            angles.append(1 - (u @ v) / math.sqrt((u @ u).item() * (v @ v).item()))
    torch.testing.assert_close(terms["soft_targets"].loss, torch.stack(divergences).mean(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(terms["hidden_cosine"].loss, torch.stack(angles).mean(), atol=1e-5, rtol=1e-5)
    expected = 5 * terms["soft_targets"].loss + 2 * terms["mlm"].loss + terms["hidden_cosine"].loss
    torch.testing.assert_close(loss, expected)
    assert joint.counts(batch) == {"soft_targets": 24, "mlm": 8, "hidden_cosine": 24}


def test_soft_targets_at_masked_positions_only(config, batch, teacher):
    joint, encoder = distillation(config, teacher, masked_only=True)
    _, terms = joint(encoder, batch)
    student, taught = distributions(joint, encoder, teacher, batch, 2.0)
    at = batch["masked_positions"]
    p, q = taught.flatten(0, 1)[at], student.flatten(0, 1)[at]
    torch.testing.assert_close(terms["soft_targets"].loss, 4 * (p * (p / q).log()).sum(-1).mean(), atol=1e-5, rtol=1e-4)
    assert joint.counts(batch)["soft_targets"] == 8


def test_a_student_like_its_teacher_has_nothing_to_learn(config, batch, teacher):
    same = replace(teacher.config)
    joint, _ = distillation(same, teacher)
    joint.terms["mlm"].head.load_state_dict(teacher.head.state_dict())
    _, terms = joint(teacher.bert.eval(), batch)
    assert terms["soft_targets"].loss.item() == pytest.approx(0, abs=1e-6)
    assert terms["hidden_cosine"].loss.item() == pytest.approx(0, abs=1e-6)


def test_the_teacher_is_neither_trained_nor_saved_nor_put_into_training_mode(config, batch, teacher):
    joint, encoder = distillation(config, teacher)
    joint.train(), encoder.train()
    joint(encoder, batch)[0].backward()
    assert not any(module.training for part in (teacher.bert, joint.terms["soft_targets"].teacher_head)
                   for module in part.modules())  # fmt: skip
    assert all(parameter.grad is None for parameter in teacher.bert.parameters())
    assert {name.split(".")[1] for name in joint.state_dict()} == {"mlm"}
    assert {name.split(".")[1] for name, _ in joint.named_parameters()} == {"mlm"}
    joint.to(torch.float64)
    assert joint.terms["soft_targets"].teacher.embeddings.word.weight.dtype == torch.float64


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"temperature": 0}, "temperature=0 must be above 0"),
        ({"head": None}, {}, "the teacher has no masked language model head"),
        ({"config": 41}, {}, "the teacher's vocabulary size is 41 and the student's 40"),
        (
            {},
            {"student_head": "sop"},
            "student_head=sop must name a term with a masked language model head: there are mlm",
        ),
    ],
)
def test_what_cannot_teach_is_named(config, teacher, change, options, message):
    if "config" in change:
        change = {"config": replace(config, vocab_size=41)}
    with pytest.raises(UserError, match=message):
        distillation(config, Loaded(**vars(teacher) | change), **options)


def test_the_head_of_the_student_is_the_only_one_or_named(config, teacher):
    two = {"soft_targets": lambda c: SoftTargets(c, teacher), "a": MaskedLM, "b": MaskedLM}
    with pytest.raises(UserError, match=r"several terms have a masked language model head .a, b.: set student_head"):
        JointObjective(config, two).attach(BERT(config))
    with pytest.raises(UserError, match="soft targets need a term with a masked language model head: add one"):
        JointObjective(config, {"soft_targets": two["soft_targets"]}).attach(BERT(config))
    named = JointObjective(config, two | {"soft_targets": lambda c: SoftTargets(c, teacher, student_head="b")})
    named.attach(BERT(config))
    assert named.terms["soft_targets"].student_head is named.terms["b"].head


def test_another_vocabulary_and_longer_text_are_named(config, batch, teacher):
    joint, _ = distillation(config, teacher)
    joint.check(vocabulary("a", "b", "c"), 12, batch)
    with pytest.raises(UserError, match=r"another vocabulary .'b' is the first difference"):
        joint.check(vocabulary("a", "x", "b"), 12, batch)
    with pytest.raises(UserError, match="max_length=13 is longer than the 12 tokens that the teacher can read: use 12"):
        joint.check(vocabulary("a", "b", "c"), 13, batch)


def test_another_width_has_no_angle(config, teacher):
    with pytest.raises(UserError, match="hidden_size=8 of the student differs from the teacher's 16"):
        distillation(replace(config, hidden_size=8), teacher)
