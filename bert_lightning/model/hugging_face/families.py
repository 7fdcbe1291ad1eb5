"""Families of published encoders in transformers' format: tensor names, config.json settings, fixed fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bert_lightning.model.config import BertConfig
from bert_lightning.model.hugging_face import irregular_settings as irregular
from bert_lightning.model.hugging_face.irregular_settings import HuggingFaceSettings


@dataclass(frozen=True)
class Family:
    """The checkpoint format of one family of models. `{i}` in a tensor name stands for the number of a block.

    Each table of names maps our names to those of transformers.
    """

    name: str  # prefix of the family's class names in transformers
    prefix: str  # prefix of the encoder's tensors in a model with heads
    encoder: dict[str, str]  # names of the encoder's tensors
    heads: dict[str, str]  # names of the tensors of pretraining heads
    decoder: str  # their name for the MLM head's output matrix and bias, whether tied to the embeddings or not
    tasks: dict[str, str]  # names of the tensors of task heads, where transformers' class computes what ours does
    attention: tuple[str, ...]  # their tensors that, stacked by rows, make our query_key_value
    settings: dict[str, tuple[str, Any]]  # BertConfig field -> (name in config.json, value if that is missing)
    dropouts: tuple[str, ...]  # their other dropout rates; our encoder has a single rate
    projects: bool = False  # whether they project embeddings even if these are as wide as the encoder; ours does not
    parts: dict[str, Any] = field(default_factory=dict)  # BertConfig fields that are fixed in the family
    required: dict[str, Any] = field(default_factory=dict)  # config.json settings of which we support one value only
    read: Callable[[HuggingFaceSettings, dict[str, Any]], dict[str, Any]] = (
        lambda settings, fields: {}
    )  # settings -> more fields
    write: Callable[[BertConfig], dict[str, Any]] = lambda config: {}  # the inverse of `read`: config -> settings


_BERT_SETTINGS: dict[str, tuple[str, Any]] = {
    "vocab_size": ("vocab_size", 30522),
    "hidden_size": ("hidden_size", 768),
    "num_hidden_layers": ("num_hidden_layers", 12),
    "num_attention_heads": ("num_attention_heads", 12),
    "intermediate_size": ("intermediate_size", 3072),
    "max_position_embeddings": ("max_position_embeddings", 512),
    "type_vocab_size": ("type_vocab_size", 2),
    "activation": ("hidden_act", "gelu"),
    "dropout_rate": ("hidden_dropout_prob", 0.1),
    "layer_norm_eps": ("layer_norm_eps", 1e-12),
    "initializer_range": ("initializer_range", 0.02),
    "tie_word_embeddings": ("tie_word_embeddings", True),
}
_BERT_DROPOUTS = ("attention_probs_dropout_prob",)
_EMBEDDINGS = {
    "embeddings.word": "embeddings.word_embeddings",
    "embeddings.position": "embeddings.position_embeddings",
    "embeddings.token_type": "embeddings.token_type_embeddings",
    "embeddings.norm": "embeddings.LayerNorm",
}
_BERT_ENCODER = _EMBEDDINGS | {
    "blocks.{i}.attention.output": "encoder.layer.{i}.attention.output.dense",
    "blocks.{i}.attention_norm": "encoder.layer.{i}.attention.output.LayerNorm",
    "blocks.{i}.feed_forward.up": "encoder.layer.{i}.intermediate.dense",
    "blocks.{i}.feed_forward.down": "encoder.layer.{i}.output.dense",
    "blocks.{i}.output_norm": "encoder.layer.{i}.output.LayerNorm",
}
_BERT_ATTENTION = tuple(f"encoder.layer.{{i}}.attention.self.{part}" for part in ("query", "key", "value"))
_ALBERT_LAYER = "encoder.albert_layer_groups.{i}.albert_layers.0"


def _heads_of_tasks(dense: str, classifier: str) -> dict[str, str]:
    """Return the tensor names of task heads, given the names of the two layers of the sequence classifier.

    The heads for tokens and spans have the same names in all families.
    """
    return {
        "classification.pooler.dense": dense,
        "classification.classifier": classifier,
        "tagging.classifier": "classifier",
        "spans.classifier": "qa_outputs",
    }


FAMILIES = {
    "bert": Family(
        name="Bert",
        prefix="bert.",
        encoder=_BERT_ENCODER,
        heads={
            "masked_lm.transform": "cls.predictions.transform.dense",
            "masked_lm.norm": "cls.predictions.transform.LayerNorm",
            "masked_lm.bias": "cls.predictions.bias",
            "next_sentence.pooler.dense": "bert.pooler.dense",
            "next_sentence.classifier": "cls.seq_relationship",
        },
        decoder="cls.predictions.decoder",
        tasks=_heads_of_tasks("bert.pooler.dense", "classifier"),
        attention=_BERT_ATTENTION,
        settings=_BERT_SETTINGS,
        dropouts=_BERT_DROPOUTS,
        required={"position_embedding_type": "absolute"},
    ),
    "roberta": Family(
        name="Roberta",
        prefix="roberta.",
        encoder=_BERT_ENCODER,
        heads={
            "masked_lm.transform": "lm_head.dense",
            "masked_lm.norm": "lm_head.layer_norm",
            "masked_lm.bias": "lm_head.bias",
        },
        decoder="lm_head.decoder",
        tasks=_heads_of_tasks("classifier.dense", "classifier.out_proj"),
        attention=_BERT_ATTENTION,
        settings=_BERT_SETTINGS | {"vocab_size": ("vocab_size", 50265)},
        dropouts=_BERT_DROPOUTS,
        parts={"classifier_input_dropout": True},
        required={"position_embedding_type": "absolute", "hidden_act": "gelu"},
        read=irregular.read_position_offset,
        write=irregular.write_position_offset,
    ),
    "albert": Family(
        name="Albert",
        prefix="albert.",
        encoder=_EMBEDDINGS
        | {
            "embeddings.projection": "encoder.embedding_hidden_mapping_in",
            "blocks.{i}.attention.output": f"{_ALBERT_LAYER}.attention.dense",
            "blocks.{i}.attention_norm": f"{_ALBERT_LAYER}.attention.LayerNorm",
            "blocks.{i}.feed_forward.up": f"{_ALBERT_LAYER}.ffn",
            "blocks.{i}.feed_forward.down": f"{_ALBERT_LAYER}.ffn_output",
            "blocks.{i}.output_norm": f"{_ALBERT_LAYER}.full_layer_layer_norm",
        },
        heads={
            "masked_lm.transform": "predictions.dense",
            "masked_lm.norm": "predictions.LayerNorm",
            "masked_lm.bias": "predictions.bias",
            "next_sentence.pooler.dense": "albert.pooler",
            "next_sentence.classifier": "sop_classifier.classifier",
        },
        decoder="predictions.decoder",
        tasks=_heads_of_tasks("albert.pooler", "classifier"),
        attention=tuple(f"{_ALBERT_LAYER}.attention.{part}" for part in ("query", "key", "value")),
        settings=_BERT_SETTINGS
        | {
            "vocab_size": ("vocab_size", 30000),
            "embedding_size": ("embedding_size", 128),
            "hidden_size": ("hidden_size", 4096),
            "num_hidden_groups": ("num_hidden_groups", 1),
            "num_attention_heads": ("num_attention_heads", 64),
            "intermediate_size": ("intermediate_size", 16384),
            "activation": ("hidden_act", "gelu_new"),
            "dropout_rate": ("hidden_dropout_prob", 0.0),
        },
        dropouts=_BERT_DROPOUTS,
        required={"inner_group_num": 1, "position_embedding_type": "absolute"},
        projects=True,
    ),
    "distilbert": Family(
        name="DistilBert",
        prefix="distilbert.",
        encoder={
            **{ours: theirs for ours, theirs in _EMBEDDINGS.items() if ours != "embeddings.token_type"},
            "blocks.{i}.attention.output": "transformer.layer.{i}.attention.out_lin",
            "blocks.{i}.attention_norm": "transformer.layer.{i}.sa_layer_norm",
            "blocks.{i}.feed_forward.up": "transformer.layer.{i}.ffn.lin1",
            "blocks.{i}.feed_forward.down": "transformer.layer.{i}.ffn.lin2",
            "blocks.{i}.output_norm": "transformer.layer.{i}.output_layer_norm",
        },
        heads={
            "masked_lm.transform": "vocab_transform",
            "masked_lm.norm": "vocab_layer_norm",
            "masked_lm.bias": "vocab_projector.bias",
        },
        decoder="vocab_projector",
        tasks=_heads_of_tasks("pre_classifier", "classifier"),
        attention=tuple(f"transformer.layer.{{i}}.attention.{part}_lin" for part in ("q", "k", "v")),
        settings={
            "vocab_size": ("vocab_size", 30522),
            "hidden_size": ("dim", 768),
            "num_hidden_layers": ("n_layers", 6),
            "num_attention_heads": ("n_heads", 12),
            "intermediate_size": ("hidden_dim", 3072),
            "max_position_embeddings": ("max_position_embeddings", 512),
            "activation": ("activation", "gelu"),
            "dropout_rate": ("dropout", 0.1),
            "initializer_range": ("initializer_range", 0.02),
            "tie_word_embeddings": ("tie_word_embeddings", True),
        },
        dropouts=("attention_dropout",),
        parts={"type_vocab_size": 0, "layer_norm_eps": 1e-12, "classifier_activation": "relu"},
        read=irregular.read_position_kind,
        write=irregular.write_position_kind,
    ),
    "electra": Family(
        name="Electra",
        prefix="electra.",
        encoder=_BERT_ENCODER | {"embeddings.projection": "embeddings_project"},
        heads={
            "masked_lm.transform": "generator_predictions.dense",
            "masked_lm.norm": "generator_predictions.LayerNorm",
            "masked_lm.bias": "generator_lm_head.bias",
            "replaced_tokens.transform": "discriminator_predictions.dense",
            "replaced_tokens.classifier": "discriminator_predictions.dense_prediction",
        },
        decoder="generator_lm_head",
        tasks=_heads_of_tasks("classifier.dense", "classifier.out_proj"),
        attention=_BERT_ATTENTION,
        settings=_BERT_SETTINGS
        | {
            "embedding_size": ("embedding_size", 128),
            "hidden_size": ("hidden_size", 256),
            "num_attention_heads": ("num_attention_heads", 4),
            "intermediate_size": ("intermediate_size", 1024),
        },
        dropouts=_BERT_DROPOUTS,
        parts={"classifier_activation": "gelu", "classifier_input_dropout": True},
        required={"position_embedding_type": "absolute", "hidden_act": "gelu"},
    ),
    "modernbert": Family(
        name="ModernBert",
        prefix="model.",
        encoder={
            "embeddings.word": "embeddings.tok_embeddings",
            "embeddings.norm": "embeddings.norm",
            "blocks.{i}.attention_norm": "layers.{i}.attn_norm",
            "blocks.{i}.attention.output": "layers.{i}.attn.Wo",
            "blocks.{i}.feed_forward_norm": "layers.{i}.mlp_norm",
            "blocks.{i}.feed_forward.up": "layers.{i}.mlp.Wi",
            "blocks.{i}.feed_forward.down": "layers.{i}.mlp.Wo",
            "norm": "final_norm",
        },
        heads={"masked_lm.transform": "head.dense", "masked_lm.norm": "head.norm", "masked_lm.bias": "decoder.bias"},
        decoder="decoder",
        tasks={
            "classification.pooler.dense": "head.dense",
            "classification.norm": "head.norm",
            "classification.classifier": "classifier",
        },
        attention=("layers.{i}.attn.Wqkv",),
        settings={
            "vocab_size": ("vocab_size", 50368),
            "hidden_size": ("hidden_size", 768),
            "num_hidden_layers": ("num_hidden_layers", 22),
            "num_attention_heads": ("num_attention_heads", 12),
            "intermediate_size": ("intermediate_size", 1152),
            "max_position_embeddings": ("max_position_embeddings", 8192),
            "activation": ("hidden_activation", "gelu"),
            "dropout_rate": ("mlp_dropout", 0.0),
            "layer_norm_eps": ("norm_eps", 1e-5),
            "norm_bias": ("norm_bias", False),
            "initializer_range": ("initializer_range", 0.02),
            "mlm_bias": ("decoder_bias", True),
            "tie_word_embeddings": ("tie_word_embeddings", True),
            "classifier_pooling": ("classifier_pooling", "cls"),
        },
        dropouts=("attention_dropout", "embedding_dropout"),
        parts={
            "type_vocab_size": 0,
            "positions": "rotary",
            "feed_forward": "gated",
            "linear_bias": False,
            "norm_order": "pre",
            "first_attention_norm": False,
            "final_norm": True,
            "depth_scaled_init": True,
            "classifier_activation": "gelu",
            "classifier_norm": True,
        },
        required={
            "hidden_activation": "gelu",
            "attention_bias": False,
            "mlp_bias": False,
            "classifier_bias": False,
            "classifier_activation": "gelu",
        },
        read=irregular.read_local_attention,
        write=irregular.write_local_attention,
    ),
}
