"""Published sizes have as many parameters as transformers' classes with explicit configs."""

from dataclasses import replace

import pytest
import torch

from bert_lightning.model import BERT, BertConfig, BertForMaskedLM, BertForPreTraining, BertForSequenceClassification
from bert_lightning.model.heads import Pooler, ReplacedTokenHead

BERT_BASE = BertConfig()
CASED = replace(BERT_BASE, vocab_size=28996)


def sized(base, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, **fields):
    return replace(
        base, hidden_size=hidden_size, num_hidden_layers=num_hidden_layers, num_attention_heads=num_attention_heads,
        intermediate_size=intermediate_size, **fields,
    )  # fmt: skip


BERT_LARGE = sized(BERT_BASE, 1024, 24, 16, 4096)
ROBERTA = replace(BERT_BASE, vocab_size=50265, type_vocab_size=1, position_offset=2, layer_norm_eps=1e-5)
ALBERT = replace(
    BERT_BASE, vocab_size=30000, embedding_size=128, num_hidden_groups=1, activation="gelu_tanh", dropout_rate=0.0
)
DISTILBERT = replace(BERT_BASE, num_hidden_layers=6, type_vocab_size=0)
ELECTRA_SMALL = sized(BERT_BASE, 256, 12, 4, 1024, embedding_size=128)
MODERNBERT = BertConfig(
    vocab_size=50368, num_hidden_layers=22, intermediate_size=1152, max_position_embeddings=8192, type_vocab_size=0,
    dropout_rate=0.0, layer_norm_eps=1e-5, feed_forward="gated", linear_bias=False, positions="rotary",
    rope_theta=160_000.0, local_rope_theta=10_000.0, local_window=128, global_every=3, norm_bias=False,
    norm_order="pre", final_norm=True, first_attention_norm=False, depth_scaled_init=True,
)  # fmt: skip

# config -> encoder (with its pooler, where transformers' has one), the part of it that is no embedding
WITH_POOLER = {
    "bert-base-uncased": (BERT_BASE, 109_482_240, 85_645_056),
    "bert-base-cased": (CASED, 108_310_272, 85_645_056),
    "bert-large-uncased": (BERT_LARGE, 335_141_888, 303_358_976),
    "bert-tiny": (sized(BERT_BASE, 128, 2, 2, 512), 4_385_920, 413_056),
    "bert-mini": (sized(BERT_BASE, 256, 4, 4, 1024), 11_170_560, 3_224_832),
    "bert-small": (sized(BERT_BASE, 512, 4, 8, 2048), 28_763_648, 12_872_192),
    "bert-medium": (sized(BERT_BASE, 512, 8, 8, 2048), 41_373_184, 25_481_728),
    "roberta-base": (ROBERTA, 124_645_632, 85_645_056),
    "roberta-large": (sized(ROBERTA, 1024, 24, 16, 4096), 355_359_744, 303_358_976),
    "albert-base": (ALBERT, 11_683_584, 7_777_536),
    "albert-large": (sized(ALBERT, 1024, 24, 16, 4096), 17_683_968, 13_777_920),
    "albert-xlarge": (sized(ALBERT, 2048, 24, 16, 8192), 58_724_864, 54_818_816),
    "albert-xxlarge": (sized(ALBERT, 4096, 12, 64, 16384), 222_595_584, 218_689_536),
}
WITHOUT_POOLER = {
    "distilbert": (DISTILBERT, 66_362_880, 42_527_232),
    "electra-small": (ELECTRA_SMALL, 13_483_008, 9_477_120),
    "electra-small generator, 1/4": (sized(ELECTRA_SMALL, 64, 12, 1, 256), 4_580_928, 599_808),
    "electra-base": (BERT_BASE, 108_891_648, 85_054_464),
    "electra-base generator, 1/3": (sized(BERT_BASE, 256, 12, 4, 1024, embedding_size=768), 33_511_168, 9_477_120),
    "electra-large": (BERT_LARGE, 334_092_288, 302_309_376),
    "electra-large generator, 1/4": (sized(BERT_LARGE, 256, 24, 4, 1024, embedding_size=1024), 50_999_552, 18_954_240),
    "modernbert-base": (MODERNBERT, 149_014_272, 110_330_880),
    "modernbert-large": (sized(MODERNBERT, 1024, 28, 16, 2624), 394_781_696, 343_203_840),
}
MASKED_LM = {
    "bert-base-uncased": 109_514_298,
    "bert-large-uncased": 335_174_458,
    "roberta-base": 124_697_433,
    "roberta-large": 355_412_057,
    "albert-base": 11_221_680,
    "albert-large": 16_795_824,
    "albert-xlarge": 54_821_040,
    "albert-xxlarge": 206_368_944,
    "distilbert": 66_985_530,
    "electra-small": 13_546_682,  # as a generator of full width, which the released checkpoints had
    "electra-small generator, 1/4": 4_620_026,
    "electra-base generator, 1/3": 33_740_602,
    "electra-large generator, 1/4": 51_295_290,
    "modernbert-base": 149_655_232,
    "modernbert-large": 395_881_664,
}
PRETRAINING = {
    "bert-base-uncased": 110_106_428,
    "bert-base-cased": 108_932_934,
    "bert-large-uncased": 336_226_108,
    "albert-base": 11_813_810,
    "albert-large": 17_847_474,
    "albert-xlarge": 59_021_490,
    "albert-xxlarge": 223_158_450,
}
DISCRIMINATOR = {"electra-small": 13_549_057, "electra-base": 109_483_009, "electra-large": 335_142_913}
PUBLISHED = WITH_POOLER | WITHOUT_POOLER


def parameters(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@pytest.fixture(autouse=True)
def no_memory():
    with torch.device("meta"):
        yield


@pytest.mark.parametrize("name", PUBLISHED)
def test_encoder(name):
    config, total, beyond_embeddings = PUBLISHED[name]
    modules = [BERT(config)] + [Pooler(config)] * (name in WITH_POOLER)
    assert parameters(*modules) == total
    # transformers counts the projection from the embeddings' width to the encoder, where there is one.
    embeddings = parameters(modules[0].embeddings) - parameters(modules[0].embeddings.projection)
    if not name.startswith("albert"):
        embeddings += parameters(modules[0].embeddings.projection)
    assert total - embeddings == beyond_embeddings


@pytest.mark.parametrize("name", MASKED_LM)
def test_masked_lm(name):
    assert parameters(BertForMaskedLM(BERT(PUBLISHED[name][0]))) == MASKED_LM[name]


@pytest.mark.parametrize("name", PRETRAINING)
def test_pretraining(name):
    assert parameters(BertForPreTraining(BERT(PUBLISHED[name][0]))) == PRETRAINING[name]


@pytest.mark.parametrize("name", DISCRIMINATOR)
def test_discriminator(name):
    config = PUBLISHED[name][0]
    assert parameters(BERT(config), ReplacedTokenHead(config)) == DISCRIMINATOR[name]


def test_sequence_classification():
    assert parameters(BertForSequenceClassification(BERT(BERT_BASE), num_labels=2)) == 109_483_778
