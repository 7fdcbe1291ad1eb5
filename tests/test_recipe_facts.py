"""Composed configs of the variants have the values that the papers and their code give."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, ListConfig, OmegaConf

from bert_lightning.cli import conf_folder
from bert_lightning.config.building import build
from bert_lightning.config.hydra_registry import register

WORDS = {"masking.mask_prob": 0.8, "masking.random_prob": 0.1}  # 80 % hidden, 10 % replaced, 10 % kept
CORRECTED, UNCORRECTED = "torch.optim.AdamW", "bert_lightning.optim.bert_adamw"
ONE_SEGMENT = {"objective.terms.nsp": None, "objective.terms.sop": None, "examples.random_next_prob": None}

# Recipe -> key of the config -> published value; None: the key is not there, or null.
FACTS = {
    # google-research/bert `create_pretraining_data.py`, `optimization.py`, `modeling.py`; Devlin et al. 2019, A.2.
    # GELU: google's is the tanh approximation, transformers' is erf; ours is erf, and the yaml says so.
    "bert": WORDS | {
        "masking.rate": 0.15, "examples.random_next_prob": 0.5, "examples.short_seq_prob": 0.1,
        "model.type_vocab_size": 2, "model.layer_norm_eps": 1e-12, "model.dropout_rate": 0.1,
        "model.initializer_range": 0.02, "model.activation": "gelu", "model.norm_order": "post",
        "model.max_position_embeddings": 512, "model.position_offset": 0, "model.classifier_activation": "tanh",
        "objective.terms.mlm.weight": 1.0, "objective.terms.nsp.weight": 1.0,
        "optimizer._target_": UNCORRECTED, "optimizer.betas": [0.9, 0.999], "optimizer.eps": 1e-6,
        "weight_decay": 0.01, "max_grad_norm": 1.0, "schedule._target_": "bert_lightning.optim.Linear",
        "published.lr": 1e-4, "published.batch_size": 256, "published.max_steps": 1_000_000, "published.warmup": 0.01,
        "published.vocab_size": 30522, "published.max_length": 512,
        "tokenizer._target_": "bert_lightning.text.tokenizers.recipes.TrainWordPiece", "tokenizer.lowercase": True,
    },
    # fairseq `examples/roberta/config/pretraining/base.yaml`; Liu et al. 2019, table 9
    "roberta": WORDS | ONE_SEGMENT | {
        "masking.rate": 0.15, "examples._target_": "bert_lightning.data.pretraining.blocks.FullSentences",
        "model.type_vocab_size": 1, "model.position_offset": 2, "model.max_position_embeddings": 512,  # a table of 514
        "model.layer_norm_eps": 1e-5, "model.dropout_rate": 0.1, "model.activation": "gelu",
        "optimizer._target_": CORRECTED, "optimizer.betas": [0.9, 0.98], "optimizer.eps": 1e-6,
        "weight_decay": 0.01, "max_grad_norm": None, "schedule._target_": "bert_lightning.optim.Linear",
        "published.lr": 6e-4, "published.batch_size": 8192, "published.max_steps": 500_000, "published.warmup": 0.048,
        "published.vocab_size": 50265,
        "tokenizer._target_": "bert_lightning.text.tokenizers.bpe_and_unigram.TrainByteLevelBPE",
    },
    # google-research/albert README, `create_pretraining_data.py`, `lamb_optimizer.py`, `modeling.py`; version 2
    "albert": WORDS | {
        "masking.rate": 0.15, "masking._target_": "bert_lightning.data.pretraining.masking.NgramMasking",
        "masking.longest": 3,
        "examples._target_": "bert_lightning.data.pretraining.pairs.SentenceOrderPairs", "examples.swap_prob": 0.5,
        "objective.terms.mlm.weight": 1.0, "objective.terms.sop.weight": 1.0, "objective.terms.nsp": None,
        "model.embedding_size": 128, "model.num_hidden_groups": 1, "model.activation": "gelu_tanh",
        "model.dropout_rate": 0.0, "model.layer_norm_eps": 1e-12, "model.type_vocab_size": 2,
        "optimizer._target_": "bert_lightning.optim.Lamb", "optimizer.betas": [0.9, 0.999], "optimizer.eps": 1e-6,
        "weight_decay": 0.01, "max_grad_norm": 1.0,
        "published.lr": 1.76e-3, "published.batch_size": 4096, "published.max_steps": 125_000,
        "published.warmup": 0.025, "published.vocab_size": 30000, "published.max_length": 512,
        "tokenizer._target_": "bert_lightning.text.tokenizers.bpe_and_unigram.TrainUnigram",
        "tokenizer.lowercase": True,
    },
    # huggingface/transformers `research_projects/distillation`. Positions: see the yaml.
    "distilbert": WORDS | ONE_SEGMENT | {
        "masking.rate": 0.15, "objective.terms.soft_targets.weight": 5.0, "objective.terms.mlm.weight": 2.0,
        "objective.terms.hidden_cosine.weight": 1.0, "objective.terms.soft_targets.temperature": 2.0,
        "objective.terms.soft_targets.masked_only": False,
        "model.type_vocab_size": 0, "model.classifier_activation": "relu",
        "optimizer._target_": CORRECTED, "optimizer.betas": [0.9, 0.98], "optimizer.eps": 1e-6,
        "weight_decay": 0.0, "max_grad_norm": 5.0, "published.lr": 5e-4, "published.warmup": 0.05,
    },
    # google-research/electra `configure_pretraining.py`, `pretrain/pretrain_helpers.py`; base
    "electra": ONE_SEGMENT | {
        "masking.rate": 0.15, "masking.mask_prob": 0.85, "masking.random_prob": 0.0,
        "objective.terms.generator.width": 0.25, "objective.terms.generator.sharing": "tied",
        "objective.terms.generator.weight": 1.0, "objective.terms.rtd.weight": 50.0,
        "model.activation": "gelu", "model.layer_norm_eps": 1e-12, "model.type_vocab_size": 2,
        "optimizer._target_": UNCORRECTED, "optimizer.betas": [0.9, 0.999], "optimizer.eps": 1e-6,
        "weight_decay": 0.01, "max_grad_norm": 1.0, "published.lr": 2e-4, "published.batch_size": 256,
        "published.max_steps": 766_000, "published.vocab_size": 30522, "published.max_length": 512,
    },
    # facebookresearch/SpanBERT README; Joshi et al. 2020, sections 3.1 and 4.2
    "spanbert": WORDS | ONE_SEGMENT | {
        "masking.rate": 0.15, "masking._target_": "bert_lightning.data.pretraining.masking.SpanMasking",
        "masking.longest": 10,
        "masking.p": 0.2, "objective.terms.mlm.weight": 1.0, "objective.terms.sbo.weight": 1.0,
        "optimizer._target_": CORRECTED, "weight_decay": 0.01, "max_grad_norm": 1.0, "published.lr": 1e-4,
        "published.batch_size": 256, "published.max_steps": 2_400_000, "published.max_length": 512,
        "tokenizer.lowercase": False, "published.vocab_size": 28996,
    },
    # Warner et al. 2024, table 3 and appendix A; AnswerDotAI/ModernBERT yamls
    "modernbert": WORDS | ONE_SEGMENT | {
        "masking.rate": 0.3, "model.layer_norm_eps": 1e-5, "model.norm_bias": False, "model.linear_bias": False,
        "model.mlm_bias": True, "model.feed_forward": "gated", "model.norm_order": "pre", "model.final_norm": True,
        "model.embedding_norm": True, "model.first_attention_norm": False, "model.positions": "rotary",
        "model.rope_theta": 160_000.0, "model.local_rope_theta": 10_000.0,  # of the long phase; 10,000 both before
        "model.local_window": 128, "model.global_every": 3, "model.max_position_embeddings": 8192,
        "model.type_vocab_size": 0, "model.dropout_rate": 0.0, "model.depth_scaled_init": True,
        "model.classifier_pooling": "mean", "optimizer.betas": [0.9, 0.98], "optimizer.eps": 1e-6, "weight_decay": 1e-5,
        "schedule._target_": "bert_lightning.optim.WarmupStableDecay", "published.lr": 8e-4,
        "published.batch_size": 4608, "published.max_length": 1024, "published.vocab_size": 50368,
        "tokenizer._target_": "bert_lightning.text.tokenizers.bpe_and_unigram.TrainByteLevelBPE",
    },
    # JonasGeiping/cramming `config/arch/crammed-bert.yaml`, `config/train/bert-o4.yaml`
    "cramming": WORDS | ONE_SEGMENT | {
        "masking.rate": 0.25, "masking.exact": True, "model.feed_forward": "gated", "model.norm_order": "pre",
        "model.linear_bias": False, "model.positions": "sinusoidal", "model.embedding_norm": True,
        "model.final_norm": True, "model.layer_norm_eps": 1e-12, "model.mlm_transform": False, "model.mlm_bias": False,
        "model.dropout_rate": 0.0, "optimizer._target_": CORRECTED, "optimizer.betas": [0.9, 0.98],
        "optimizer.eps": 1e-12, "weight_decay": 0.01, "max_grad_norm": 0.5, "schedule.warmup": 0.75,
        "schedule.start": 0.25, "published.lr": 1e-3, "published.batch_size": 8192, "published.max_length": 128,
        "published.vocab_size": 32768,
    },
}  # fmt: skip

# Size -> hidden size, layers, heads, inner width, width of the embeddings. Parameters do not depend on the heads.
SIZES = {
    "tiny": (128, 2, 2, 512, 128),
    "mini": (256, 4, 4, 1024, 256),
    "small": (512, 4, 8, 2048, 512),
    "medium": (512, 8, 8, 2048, 512),
    "base": (768, 12, 12, 3072, 768),
    "large": (1024, 24, 16, 4096, 1024),
    "xlarge": (2048, 24, 16, 8192, 2048),
    "xxlarge": (4096, 12, 64, 16384, 4096),
    "distilbert-base": (768, 6, 12, 3072, 768),
    "electra-small": (256, 12, 4, 1024, 128),
    "cramming-base": (768, 16, 12, 1536, 768),
    "modernbert-base": (768, 22, 12, 1152, 768),
    "modernbert-large": (1024, 28, 16, 2624, 1024),
}


@pytest.fixture
def composed():
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        yield lambda *overrides: compose("pretrain", ["name=facts", *overrides])
    GlobalHydra.instance().clear()


def plain(config: DictConfig, key: str):
    value = OmegaConf.select(config, key)
    return OmegaConf.to_container(value) if isinstance(value, (DictConfig, ListConfig)) else value


def test_every_recipe_and_size_has_its_facts():
    assert FACTS.keys() == {path.stem for path in (conf_folder() / "variant").glob("*.yaml")}
    assert SIZES.keys() == {path.stem for path in (conf_folder() / "model").glob("*.yaml")} - {"bert"}


@pytest.mark.parametrize("variant", FACTS)
def test_a_recipe_says_what_was_published(variant, composed):
    config = composed(f"variant={variant}")
    assert {key: plain(config, key) for key in FACTS[variant]} == FACTS[variant]


@pytest.mark.parametrize("model", SIZES)
def test_a_size_has_the_published_shape(model, composed):
    config = build(composed(f"model={model}").model, vocab_size=100)
    shape = (config.hidden_size, config.num_hidden_layers, config.num_attention_heads, config.intermediate_size)
    assert (*shape, config.embedding_width) == SIZES[model]


@pytest.mark.parametrize("variant", [name for name in FACTS if name != "distilbert"])  # whose batch was not published
def test_the_published_scale_is_a_recipe_s_own(variant, composed):
    config = composed(f"variant={variant}", "scale=published")
    facts = FACTS[variant]
    for key, published in (("batch_size", "batch_size"), ("optimizer.lr", "lr"), ("examples.max_length", "max_length")):
        if f"published.{published}" in facts:
            assert plain(config, key) == facts[f"published.{published}"]
