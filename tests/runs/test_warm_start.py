from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, models
from torch import nn

from bert_lightning.errors import UserError
from bert_lightning.model import BERT, BertConfig
from bert_lightning.objectives.base import JointObjective
from bert_lightning.objectives.pretraining import MaskedLM, NextSentencePrediction, SentenceOrderPrediction
from bert_lightning.runs.checkpoint_files import check_same_model
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.runs.warm_start import copy_weights, layers_to_copy


def config(layers, **fields):
    sizes = dict(vocab_size=9, hidden_size=8, num_attention_heads=2, intermediate_size=8)
    return BertConfig(**sizes | fields, num_hidden_layers=layers)


def vocabulary(*words):
    return Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[0]))


@pytest.fixture
def source(tmp_path):
    encoder, objective = BERT(config(12)), JointObjective(config(12), {"mlm": MaskedLM})
    tensors = nn.ModuleDict({"encoder": encoder, "objective": objective}).state_dict()
    return PretrainedWeights(tmp_path / "teacher", config(12), vocabulary("a", "b"), tensors)


@pytest.mark.parametrize(
    ("of", "count", "layers"),
    [
        (12, 6, [0, 2, 4, 7, 9, 11]),  # huggingface/transformers, `extract_distilbert.py`
        (4, 2, [0, 3]),
        (3, 3, [0, 1, 2]),
        (5, 1, [4]),
    ],
)
def test_layers_are_spread_evenly(of, count, layers):
    assert layers_to_copy(of, count) == layers


def test_a_student_takes_every_other_layer_and_the_heads_that_fit(source):
    student = BERT(config(6))
    objective = JointObjective(config(6), {"mlm": MaskedLM, "nsp": NextSentencePrediction})
    pooler = objective.terms["nsp"].head.pooler.dense.weight.clone()
    copy_weights(source, vocabulary("a", "b"), student, objective)
    for ours, theirs in enumerate([0, 2, 4, 7, 9, 11]):
        for name, tensor in student.blocks[ours].state_dict().items():
            assert torch.equal(tensor, source.tensors[f"encoder.blocks.{theirs}.{name}"]), (ours, name)
    assert torch.equal(student.embeddings.word.weight, source.tensors["encoder.embeddings.word.weight"])
    for name, tensor in objective.terms["mlm"].state_dict().items():
        assert torch.equal(tensor, source.tensors[f"objective.terms.mlm.{name}"])
    assert torch.equal(objective.terms["nsp"].head.pooler.dense.weight, pooler)


def test_heads_are_found_by_what_they_are_and_not_by_the_name_of_their_term(source):
    student = BERT(config(6))
    objective = JointObjective(config(6), {"cloze": MaskedLM, "nsp": SentenceOrderPrediction})
    other = JointObjective(config(12), {"a": SentenceOrderPrediction, "b": NextSentencePrediction, "c": MaskedLM})
    tensors = {name: tensor for name, tensor in source.tensors.items() if name.startswith("encoder.")}
    tensors |= {f"objective.{name}": tensor for name, tensor in other.state_dict().items()}
    started = replace(source, tensors=tensors, metadata={"heads": other.head_types()})
    copy_weights(started, vocabulary("a", "b"), student, objective)
    for ours, theirs in (("cloze", "c"), ("nsp", "a")):
        for name, tensor in objective.terms[ours].state_dict().items():
            assert torch.equal(tensor, tensors[f"objective.terms.{theirs}.{name}"]), name


@pytest.mark.parametrize(
    ("fields", "words", "message"),
    [
        (
            {"layers": 13},
            "ab",
            "init_from: model.num_hidden_layers=13 is more than the pretrained encoder.s 12: use 12 or",
        ),
        (
            {"layers": 2, "hidden_size": 4},
            "ab",
            "init_from: .*teacher has other sizes than this run: add model.hidden_size=8$",
        ),
        (
            {"layers": 2},
            "ac",
            "has another vocabulary than this run: add tokenizer=files tokenizer.path=.*/teacher$",
        ),
    ],
)
def test_what_cannot_be_started_from_is_named(source, fields, words, message):
    student = BERT(config(**fields))
    objective = JointObjective(student.config, {"mlm": MaskedLM})
    with pytest.raises(UserError, match=message):
        copy_weights(source, vocabulary(*words), student, objective)


def test_what_is_otherwise_or_begins_at_random_is_said(source, capsys):
    student = BERT(config(6, layer_norm_eps=1e-5, num_attention_heads=4, type_vocab_size=0, dropout_rate=0.0))
    objective = JointObjective(student.config, {"mlm": MaskedLM, "nsp": NextSentencePrediction})
    copy_weights(source, vocabulary("a", "b"), student, objective)
    fresh, other = sorted(capsys.readouterr().err.splitlines())
    assert "lacks weights for objective.terms.nsp: they are initialized at random" in fresh
    assert "was trained with model.num_attention_heads=2 model.layer_norm_eps=1e-12, unlike this run" in other


def test_what_fits_is_not_spoken_of(source, capsys):
    student = BERT(config(6))
    copy_weights(source, vocabulary("a", "b"), student, JointObjective(student.config, {"mlm": MaskedLM}))
    assert capsys.readouterr().err == ""


def test_a_checkpoint_from_before_a_field_of_the_config_is_still_of_the_same_model(tmp_path):
    mine = {"tokenizer_fingerprint": "a", "config": config(2).to_dict()}
    older = {name: value for name, value in mine["config"].items() if name != "tie_word_embeddings"}
    check_same_model(tmp_path / "step-1.ckpt", {**mine, "config": older}, mine)
    untied = {**mine, "config": config(2, tie_word_embeddings=False).to_dict()}
    with pytest.raises(UserError, match="another model: tie_word_embeddings is True in it and False in this run"):
        check_same_model(tmp_path / "step-1.ckpt", {**mine, "config": older}, untied)
