"""Pretrained weights that are extended to more words and more positions."""

from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn

from bert_lightning.model import BERT, BertConfig
from bert_lightning.objectives.base import JointObjective
from bert_lightning.objectives.pretraining import MaskedLM
from bert_lightning.runs.grown_weights import grown
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.runs.warm_start import copy_weights

OLD = ["[UNK]", "har", "##poo", "##ner", "the", "whale"]
SMALL = BertConfig(
    vocab_size=len(OLD), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8,
    max_position_embeddings=4, position_offset=2,
)  # fmt: skip


def wordpiece(*more):
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate([*OLD, *more])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def started(config, tokenizer, source, **options):
    """A new encoder and objective with the weights of the source."""
    encoder, objective = BERT(config), JointObjective(config, {"mlm": MaskedLM})
    copy_weights(source, tokenizer, encoder, objective, **options)
    return encoder, objective


@pytest.fixture
def source(tmp_path):
    encoder, objective = BERT(SMALL), JointObjective(SMALL, {"mlm": MaskedLM})
    nn.init.normal_(objective.terms["mlm"].head.bias)
    tensors = nn.ModuleDict({"encoder": encoder, "objective": objective}).state_dict()
    return PretrainedWeights(tmp_path, SMALL, wordpiece(), tensors)


def test_the_rows_of_a_new_word_are_the_means_of_those_of_its_pieces(source):
    tokenizer = wordpiece("harpooner", "thewhale", "x")
    encoder, objective = started(replace(SMALL, vocab_size=9), tokenizer, source)
    pieces = {"harpooner": [1, 2, 3], "thewhale": [0], "x": [0]}  # "the" + "##whale" is unknown
    for table, before in (
        (encoder.embeddings.word.weight, source.tensors["encoder.embeddings.word.weight"]),
        (objective.terms["mlm"].head.bias, source.tensors["objective.terms.mlm.head.bias"]),
    ):
        assert torch.equal(table[:6], before)
        for word, old in pieces.items():
            torch.testing.assert_close(table[tokenizer.token_to_id(word)], before[old].mean(0))


def test_a_text_without_new_words_has_the_same_states(source):
    before = source.encoder().eval()
    after, _ = started(replace(SMALL, vocab_size=7), wordpiece("harpooner"), source)
    ids, mask = torch.tensor([[4, 5, 1]]), torch.ones(1, 3)
    assert torch.equal(after.eval()(ids, None, mask), before(ids, None, mask))


def test_rows_that_no_token_has_are_dropped_or_added(source):
    padded = {name: torch.cat([t, torch.zeros_like(t[:2])]) if len(t) == 6 and "blocks" not in name else t
              for name, t in source.tensors.items()}  # fmt: skip
    padded["encoder.embeddings.position.weight"] = source.tensors["encoder.embeddings.position.weight"]
    wide = replace(source, tensors=padded, config=replace(SMALL, vocab_size=8))
    encoder, _ = started(SMALL, wordpiece(), wide)
    assert torch.equal(encoder.embeddings.word.weight, source.tensors["encoder.embeddings.word.weight"])
    encoder, _ = started(replace(SMALL, vocab_size=10), wordpiece(), source)
    table = source.tensors["encoder.embeddings.word.weight"]
    torch.testing.assert_close(encoder.embeddings.word.weight[6:], table.mean(0).expand(4, -1))


def test_positions_are_repeated_or_stretched(source):
    table = source.tensors["encoder.embeddings.position.weight"]  # 2 rows before the first position
    longer = replace(SMALL, max_position_embeddings=10)
    tiled, _ = started(longer, wordpiece(), source)
    assert torch.equal(tiled.embeddings.position.weight, torch.cat([table[:2], table[2:], table[2:], table[2:4]]))
    stretched, _ = started(longer, wordpiece(), source, extend_positions="interpolate")
    found = stretched.embeddings.position.weight
    assert torch.equal(found[:3], table[:3])
    torch.testing.assert_close(found[-1], table[-1])
    torch.testing.assert_close(found[3], table[2] + (table[3] - table[2]) / 3)  # 3 steps of 9 are 1 of 3


def test_another_vocabulary_is_not_grown(source):
    assert grown(source, Tokenizer(models.WordLevel({"a": 0}, unk_token="a")), SMALL, "tile") is source
