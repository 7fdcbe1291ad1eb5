"""Conversion between Hugging Face checkpoints and ours, by the tables in `families.py`. No model is run.

`loading.py` uses these functions to read a folder in the Hugging Face layout.

Our tensor names are those of `BertForPreTraining`: `bert.*`, `masked_lm.*` and `next_sentence.*` (the head for any
objective on segment pairs). ELECTRA's discriminator is `replaced_tokens.*`. Task heads are written but not read. Their
names are `classification.*`, `tagging.*` and `spans.*`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from bert_lightning.model.config import BertConfig
from bert_lightning.model.hugging_face.families import FAMILIES, Family
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
_WRAPPERS = re.compile(r"^((module|_orig_mod)\.)+")  # added to all names by DataParallel and torch.compile
_OURS_ALONE = ("classifier_", "initializer_", "depth_scaled_init")  # prefixes of fields that no stored tensor needs


def config_from_hugging_face(settings: dict[str, Any]) -> BertConfig:
    """Return our config for the settings of a Hugging Face `config.json`. Its `model_type` selects the family.

    Raises:
        ValueError: if our encoder does not support the architecture; the message names the setting.
    """
    family = _family(model_type_of(settings))
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
        BertConfig(**fields | family.parts)  # check sizes and types before `read` computes with them
        return BertConfig(**fields | family.parts | family.read(settings, fields))
    except (TypeError, ValueError) as error:
        ours, _, rest = str(error).partition("=")
        raise ValueError(f"{family.settings[ours][0]}={rest}" if ours in family.settings else str(error)) from None


def model_type_of(settings: Mapping[str, Any]) -> Any:
    """Return the `model_type` of a config.json. Files of 2019 lack it, and some name the class of the model instead.

    BERT's own files have neither. The value may be of any type, because it comes from a file.
    """
    classes = settings.get("architectures")
    name = str(classes[0]) if isinstance(classes, list) and classes else ""
    guess = next((model_type for model_type, family in FAMILIES.items() if name.startswith(family.name)), "bert")
    return settings.get("model_type", guess)


def config_to_hugging_face(config: BertConfig, model_type: str) -> dict[str, Any]:
    """Return the `config.json` settings of an encoder in the format of the family `model_type`.

    Raises:
        ValueError: if the family cannot express a field of the config; the message names the field.
    """
    if found := differences(config, model_type):
        raise ValueError(found[0])
    return _settings_of(config, model_type)


def differences(config: BertConfig, model_type: str) -> list[str]:
    """Return a sentence for each config field that a family cannot express. The list is empty if it can express all.

    Raises:
        ValueError: if there is no such family, or none of its settings comes close to the architecture.
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
    """Return the `config.json` settings of a config, even if the family cannot express all of its fields."""
    family, explicit = _family(model_type), _explicit(config)
    settings: dict[str, Any] = {theirs: explicit[ours] for ours, (theirs, _) in family.settings.items()}
    activation = family.settings["activation"][0]
    settings[activation] = {ours: theirs for theirs, ours in reversed(_ACTIVATIONS.items())}[config.activation]
    settings |= dict.fromkeys(family.dropouts, config.dropout_rate)
    return settings | {"model_type": model_type, **family.required, **family.write(config)}


def has_head(model_type: str, head: str) -> bool:
    """Return whether a family's pretraining classes in transformers have our `head`: `masked_lm`, `next_sentence`..."""
    return any(name.partition(".")[0] == head for name in _family(model_type).heads)


def task_to_hugging_face(config: BertConfig, model_type: str, head: str, labels: Sequence[str]) -> dict[str, Any]:
    """Return the additional `config.json` settings of a model with a task head.

    Args:
        config: the config of the encoder.
        model_type: the family.
        head: classification, tagging or spans.
        labels: the classes in the order of their logits; empty for regression and for answer spans.

    Raises:
        ValueError: if transformers' class of that family computes another head.
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
    """Convert the tensors of a transformers model, with or without heads, to our names and shapes.

    The result has no head that the checkpoint lacks. Old names of LayerNorm's tensors, gamma and beta, work too.

    Raises:
        ValueError: if a query, key or value tensor of the encoder is missing.
    """
    made = {}
    for name, parts in tensor_sources(theirs, config, model_type).items():
        made[name] = theirs[parts[0]] if len(parts) == 1 else torch.cat([theirs[part] for part in parts])
    return made


def tensor_sources(theirs: Collection[str], config: BertConfig, model_type: str) -> dict[str, list[str]]:
    """Map each of our tensors to the transformers tensors that make it when they are stacked by rows.

    Raises:
        ValueError: if a query, key or value tensor of the encoder is missing, or two names stand for one tensor.
    """
    family, blocks = _family(model_type), _blocks(config)
    if blocks > len(theirs):
        raise ValueError(f"{len(theirs)} tensors make no encoder of {blocks} layers")
    modern = modern_names(theirs, model_type)
    sources = {}
    for ours, name in _names(family, config).items():
        for suffix in ("", ".weight", ".bias"):
            if name + suffix in modern:
                sources[ours + suffix] = [modern[name + suffix]]
    if (bias := f"{family.decoder}.bias") in modern:  # of two stored biases, transformers computes with this one
        sources["masked_lm.bias"] = [modern[bias]]
    for i in range(blocks):
        for suffix in (".weight", ".bias") if config.linear_bias else (".weight",):
            parts = [family.prefix + part.format(i=i) + suffix for part in family.attention]
            if missing := [part for part in parts if part not in modern]:
                raise ValueError(f"it does not hold {missing[0]}")
            sources[_FUSED.format(i=i) + suffix] = [modern[part] for part in parts]
    return sources


def to_hugging_face(ours: dict[str, Tensor], config: BertConfig, model_type: str = "bert") -> dict[str, Tensor]:
    """Convert our tensors to the names of transformers' models with heads: the inverse of `from_hugging_face`.

    Tensors that transformers ties to others are left out.
    """
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
    if config.positions == "sinusoidal":  # transformers stores the table, although it is fixed
        theirs[f"{family.prefix}{family.encoder['embeddings.position']}.weight"] = SinusoidalPositions(config).table
    for i in range(_blocks(config)):
        for suffix in (".weight", ".bias") if config.linear_bias else (".weight",):
            fused = ours[_FUSED.format(i=i) + suffix]
            for part, tensor in zip(family.attention, fused.chunk(len(family.attention)), strict=True):
                theirs[family.prefix + part.format(i=i) + suffix] = tensor.clone()
    return theirs


def identity_projection(family: Family, config: BertConfig) -> dict[str, Tensor]:
    """Return the tensors of an identity projection of the embeddings, for a family that always has a projection."""
    name, size = family.prefix + family.encoder["embeddings.projection"], config.hidden_size
    return {f"{name}.weight": torch.eye(size), f"{name}.bias": torch.zeros(size)}


def _family(model_type: str) -> Family:
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise ValueError(f"model_type={model_type!r:.80} is not supported: this encoder reads {', '.join(FAMILIES)}")
    return FAMILIES[model_type]


def _names(family: Family, config: BertConfig) -> dict[str, str]:
    """Map our names to transformers' names, for all tensors except query, key and value.

    A name may stand for a pair of weight and bias.
    """
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
    """Return the config's fields in a canonical form: two configs of the same computation have equal fields.

    The default that a None stands for replaces it.
    """
    local = any(config.is_local(layer) for layer in range(config.num_hidden_layers))
    theta = config.rope_theta if config.local_rope_theta is None else config.local_rope_theta
    return asdict(config) | {
        "embedding_size": config.embedding_width,
        "num_hidden_groups": _blocks(config),
        "local_window": config.local_window if local else None,
        "local_rope_theta": theta if local else None,
        # All values >= the number of layers mean the same: only the first layer is global.
        "global_every": min(config.global_every, config.num_hidden_layers) if local else 1,
        "rope_theta": config.rope_theta if config.positions == "rotary" else None,
    }


def modern_names(theirs: Iterable[str], model_type: str) -> dict[str, str]:
    """Map the tensor names of a current model with heads to those in a file, which may be old or lack the prefix.

    Raises:
        ValueError: if two names in the file stand for one tensor.
    """
    found: dict[str, str] = {}
    for name in theirs:
        if (other := found.setdefault(_modern(name, _family(model_type)), name)) != name:
            raise ValueError(f"it holds both {other:.80} and {name:.80}, which are two names of one tensor: drop one")
    return found


def _modern(name: str, family: Family) -> str:
    """Convert a tensor name of an old checkpoint, or of one without heads, to that of a current model with heads."""
    name = _WRAPPERS.sub("", name)
    name = re.sub(r"beta$", "bias", re.sub(r"gamma$", "weight", name))
    known = (family.prefix, *(theirs.partition(".")[0] + "." for theirs in family.heads.values()))
    return name if name.startswith(known) else family.prefix + name
