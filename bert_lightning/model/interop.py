"""Hugging Face checkpoints <-> ours: renaming by the tables of `families.py`, and nothing that runs a model.

`hugging_face.py` reads a folder of the Hugging Face layout with them.

Our names are those of `BertForPreTraining`: `bert.*`, `masked_lm.*`, `next_sentence.*` (the head of pairs, of whatever
question), `replaced_tokens.*` for ELECTRA's discriminator, and, only written, the heads of tasks: `classification.*`,
`tagging.*` and `spans.*`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from bert_lightning.model.config import BertConfig
from bert_lightning.model.families import FAMILIES, Family
from bert_lightning.model.positions import SinusoidalPositions

_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}
_FUSED = "bert.blocks.{i}.attention.query_key_value"
_CLASSES = {
    "classification": "ForSequenceClassification",
    "tagging": "ForTokenClassification",
    "spans": "ForQuestionAnswering",
}
_OF_A_HEAD = ("classifier_pooling", "classifier_activation", "classifier_norm")
_NOT_COMPUTED = ("is_decoder", "add_cross_attention", "pruned_heads", "quantization_config", "rope_scaling")
_OURS_ALONE = ("classifier_", "initializer_", "depth_scaled_init")  # fields that no stored tensor depends on


def config_from_hugging_face(settings: dict[str, Any]) -> BertConfig:
    """The config of a Hugging Face `config.json`; its `model_type` chooses the family.

    Raises:
        ValueError: an architecture that this encoder does not compute, with the setting that says so.
    """
    family = _family(settings.get("model_type", "bert"))
    for name, value in family.required.items():
        if settings.get(name, value) != value:
            raise ValueError(f"{name}={settings[name]!r:.80} is not supported: this encoder has {name}={value!r}")
    for name in _NOT_COMPUTED:
        if settings.get(name):
            raise ValueError(f"{name}={settings[name]!r:.80} is not supported: this encoder has none")
    fields = {ours: settings.get(theirs, default) for ours, (theirs, default) in family.settings.items()}
    if not isinstance(fields["activation"], str) or fields["activation"] not in _ACTIVATIONS:
        name = family.settings["activation"][0]
        raise ValueError(f"{name}={fields['activation']!r:.80} is not supported: use {', '.join(_ACTIVATIONS)}")
    fields["activation"] = _ACTIVATIONS[fields["activation"]]
    try:
        BertConfig(**fields | family.parts)  # sizes and types, before anything is counted by them
        return BertConfig(**fields | family.parts | family.read(settings, fields))
    except (TypeError, ValueError) as error:
        ours, _, rest = str(error).partition("=")
        raise ValueError(f"{family.settings[ours][0]}={rest}" if ours in family.settings else str(error)) from None


def config_to_hugging_face(config: BertConfig, model_type: str) -> dict[str, Any]:
    """The settings of a `config.json` of that family.

    Raises:
        ValueError: the family has no such architecture; the message names a field that it cannot say.
    """
    if found := differences(config, model_type):
        raise ValueError(found[0])
    return _settings_of(config, model_type)


def differences(config: BertConfig, model_type: str) -> list[str]:
    """Return a sentence for each field that a family cannot say; none where it has this architecture.

    Raises:
        ValueError: if there is no such family, or nothing near the architecture can be written as one of it.
    """
    ours, theirs = _explicit(config), _explicit(config_from_hugging_face(_settings_of(config, model_type)))
    found = [
        f"{name}={value!r} cannot be written as {model_type}, which has {theirs[name]!r}"
        for name, value in ours.items()
        if value != theirs[name] and not name.startswith(_OURS_ALONE)
    ]
    if config.type_vocab_size == 0 and "type_vocab_size" in _family(model_type).settings:
        found.append(f"type_vocab_size=0 cannot be written as {model_type}, which adds an embedding of segments")
    return found


def _settings_of(config: BertConfig, model_type: str) -> dict[str, Any]:
    """What a `config.json` says of a config, whether the family has all of it or not."""
    family, explicit = _family(model_type), _explicit(config)
    settings: dict[str, Any] = {theirs: explicit[ours] for ours, (theirs, _) in family.settings.items()}
    activation = family.settings["activation"][0]
    settings[activation] = {ours: theirs for theirs, ours in reversed(_ACTIVATIONS.items())}[config.activation]
    settings |= dict.fromkeys(family.dropouts, config.dropout_rate)
    return settings | {"model_type": model_type, **family.required, **family.write(config)}


def has_head(model_type: str, head: str) -> bool:
    """Whether transformers' pretraining classes of a family have a head of ours: `masked_lm`, `next_sentence`..."""
    return any(name.partition(".")[0] == head for name in _family(model_type).heads)


def task_to_hugging_face(config: BertConfig, model_type: str, head: str, labels: Sequence[str]) -> dict[str, Any]:
    """What `config.json` says more where the model has the head of a task.

    Args:
        config: the encoder's.
        model_type: the family.
        head: classification, tagging or spans.
        labels: classes in the order of their scores; none for a number, or for the spans of answers.

    Raises:
        ValueError: transformers' class of that family computes another head.
    """
    family = _family(model_type)
    if not any(name.startswith(f"{head}.") for name in family.tasks):
        raise ValueError(f"transformers' {family.name}{_CLASSES[head]} computes another head")
    understood = config_from_hugging_face(config_to_hugging_face(config, model_type))
    for name in _OF_A_HEAD if head == "classification" else ():
        if (ours := getattr(config, name)) != (theirs := getattr(understood, name)):
            raise ValueError(f"{name}={ours!r}, but transformers' {family.name}{_CLASSES[head]} has {theirs!r}")
    settings: dict[str, Any] = {"architectures": [family.name + _CLASSES[head]]}
    if labels:
        settings |= {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    elif head == "classification":
        settings |= {"id2label": {0: "score"}, "label2id": {"score": 0}, "problem_type": "regression"}
    return settings


def from_hugging_face(theirs: dict[str, Tensor], config: BertConfig, model_type: str = "bert") -> dict[str, Tensor]:
    """Our tensors, from a model of transformers with or without heads.

    Heads that the checkpoint does not hold are left out. Old checkpoints name LayerNorm's tensors gamma and beta.

    Raises:
        ValueError: a part of an attention of the encoder is missing.
    """
    made = {}
    for name, parts in tensor_sources(theirs, config, model_type).items():
        made[name] = theirs[parts[0]] if len(parts) == 1 else torch.cat([theirs[part] for part in parts])
    return made


def tensor_sources(theirs: Collection[str], config: BertConfig, model_type: str) -> dict[str, list[str]]:
    """Return the names of their tensors that each of ours is made of, one below the other.

    Raises:
        ValueError: if a part of an attention of the encoder is missing.
    """
    family, blocks = _family(model_type), _blocks(config)
    if blocks > len(theirs):
        raise ValueError(f"{len(theirs)} tensors make no encoder of {blocks} layers")
    modern = {_modern(name, family): name for name in theirs}
    sources = {}
    for ours, name in _names(family, config).items():
        for suffix in ("", ".weight", ".bias"):
            if name + suffix in modern:
                sources[ours + suffix] = [modern[name + suffix]]
    if (bias := f"{family.decoder}.bias") in modern:  # the one that scores are computed with, where there are two
        sources["masked_lm.bias"] = [modern[bias]]
    for i in range(blocks):
        for suffix in (".weight", ".bias") if config.linear_bias else (".weight",):
            parts = [family.prefix + part.format(i=i) + suffix for part in family.attention]
            if missing := [part for part in parts if part not in modern]:
                raise ValueError(f"it does not hold {missing[0]}")
            sources[_FUSED.format(i=i) + suffix] = [modern[part] for part in parts]
    return sources


def to_hugging_face(ours: dict[str, Tensor], config: BertConfig, model_type: str = "bert") -> dict[str, Tensor]:
    """The inverse: our tensors under the names of transformers' models with heads. What is tied there is left out."""
    family = _family(model_type)
    names, theirs = _names(family, config) | family.tasks, {}
    for name, tensor in ours.items():
        stem, _, suffix = name.rpartition(".")
        if name in names:
            theirs[names[name]] = tensor
        elif stem in names:
            theirs[f"{names[stem]}.{suffix}"] = tensor
    if family.projects and config.embedding_width == config.hidden_size:
        theirs |= identity_projection(family, config)
    if not config.tie_word_embeddings and "masked_lm.bias" in ours:
        theirs[f"{family.decoder}.bias"] = ours["masked_lm.bias"].clone()
    if config.positions == "sinusoidal":  # fixed, but stored there
        theirs[f"{family.prefix}{family.encoder['embeddings.position']}.weight"] = SinusoidalPositions(config).table
    for i in range(_blocks(config)):
        for suffix in (".weight", ".bias") if config.linear_bias else (".weight",):
            fused = ours[_FUSED.format(i=i) + suffix]
            for part, tensor in zip(family.attention, fused.chunk(len(family.attention)), strict=True):
                theirs[family.prefix + part.format(i=i) + suffix] = tensor.clone()
    return theirs


def identity_projection(family: Family, config: BertConfig) -> dict[str, Tensor]:
    """Return a projection of the embeddings that changes nothing, under the names of a family that always has one."""
    name, size = family.prefix + family.encoder["embeddings.projection"], config.hidden_size
    return {f"{name}.weight": torch.eye(size), f"{name}.bias": torch.zeros(size)}


def _family(model_type: str) -> Family:
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise ValueError(f"model_type={model_type!r:.80} is not supported: this encoder reads {', '.join(FAMILIES)}")
    return FAMILIES[model_type]


def _names(family: Family, config: BertConfig) -> dict[str, str]:
    """Ours -> theirs, for every tensor (or pair of weight and bias) but those of attention's inputs."""
    names = {}
    for ours, theirs in family.encoder.items():
        for i in range(_blocks(config)) if "{i}" in ours else (0,):
            names["bert." + ours.format(i=i)] = family.prefix + theirs.format(i=i)
    if config.positions != "learned":
        names.pop("bert.embeddings.position", None)  # a fixed table is computed, not loaded
    own = {} if config.tie_word_embeddings else {"masked_lm.decoder.weight": f"{family.decoder}.weight"}
    return names | family.heads | own


def _blocks(config: BertConfig) -> int:
    return config.num_hidden_groups or config.num_hidden_layers


def _explicit(config: BertConfig) -> dict[str, Any]:
    """The fields, with the values that None stands for, and one value for all that compute the same."""
    local = any(config.is_local(layer) for layer in range(config.num_hidden_layers))
    theta = config.rope_theta if config.local_rope_theta is None else config.local_rope_theta
    return asdict(config) | {
        "embedding_size": config.embedding_width,
        "num_hidden_groups": _blocks(config),
        "local_window": config.local_window if local else None,
        "local_rope_theta": theta if local else None,
        # As many as there are layers, or more: the first alone reads the whole sequence.
        "global_every": min(config.global_every, config.num_hidden_layers) if local else 1,
        "rope_theta": config.rope_theta if config.positions == "rotary" else None,
    }


def _modern(name: str, family: Family) -> str:
    """The name that a tensor has in today's models with heads; one without heads leaves the prefix out."""
    name = re.sub(r"beta$", "bias", re.sub(r"gamma$", "weight", name))
    known = (family.prefix, *(theirs.partition(".")[0] + "." for theirs in family.heads.values()))
    return name if name.startswith(known) else family.prefix + name
