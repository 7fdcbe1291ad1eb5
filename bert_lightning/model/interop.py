"""Hugging Face checkpoints <-> ours: a table of names, and nothing that runs a model.

The Hugging Face layout (`config.json` and `model.safetensors`) is what most published weights come in. Only tensors and
plain data are read; no code of the checkpoint is executed.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bert_lightning.model.config import BertConfig

# Ours -> theirs. `{i}` is the number of a block. The three projections of attention are one tensor here, three there.
_EMBEDDINGS = {
    "embeddings.word": "embeddings.word_embeddings",
    "embeddings.position": "embeddings.position_embeddings",
    "embeddings.token_type": "embeddings.token_type_embeddings",
    "embeddings.norm": "embeddings.LayerNorm",
}
_BLOCK = {
    "blocks.{i}.attention.output": "encoder.layer.{i}.attention.output.dense",
    "blocks.{i}.attention_norm": "encoder.layer.{i}.attention.output.LayerNorm",
    "blocks.{i}.feed_forward.up": "encoder.layer.{i}.intermediate.dense",
    "blocks.{i}.feed_forward.down": "encoder.layer.{i}.output.dense",
    "blocks.{i}.output_norm": "encoder.layer.{i}.output.LayerNorm",
}
_HEADS = {
    "masked_lm.transform": "cls.predictions.transform.dense",
    "masked_lm.norm": "cls.predictions.transform.LayerNorm",
    "masked_lm.bias": "cls.predictions.bias",
    "next_sentence.classifier": "cls.seq_relationship",
}
_POOLER = {"next_sentence.pooler.dense": "pooler.dense"}
_FUSED = "blocks.{i}.attention.query_key_value"
_PARTS = tuple(f"encoder.layer.{{i}}.attention.self.{part}" for part in ("query", "key", "value"))


def config_from_hugging_face(settings: dict[str, object]) -> BertConfig:
    """The config of a Hugging Face `config.json`.

    Raises:
        ValueError: an architecture that this encoder does not compute, with the field that says so.
    """
    expected = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
    for name, value in expected.items():
        if settings.get(name, value) != value:
            raise ValueError(f"{name}={settings[name]!r} is not supported: this encoder has {name}={value!r}")
    names = [
        name for name in (field.name for field in fields(BertConfig)) if name != "dropout_rate" and name in settings
    ]
    given: dict[str, Any] = {name: settings[name] for name in names}
    return BertConfig(**given, dropout_rate=settings.get("hidden_dropout_prob", 0.1))  # type: ignore[arg-type]


def from_hugging_face(theirs: dict[str, Tensor], num_hidden_layers: int) -> dict[str, Tensor]:
    """The state dict of `BertForPreTraining`, from transformers' BertModel, BertForMaskedLM or BertForPreTraining.

    Heads that the checkpoint does not hold are left out. Old checkpoints name LayerNorm's tensors gamma and beta.
    """
    theirs = {_modern(name): tensor for name, tensor in theirs.items()}
    ours = {}
    for our_name, their_name in _names(num_hidden_layers).items():
        for suffix in ("", ".weight", ".bias"):
            if their_name + suffix in theirs:
                ours[our_name + suffix] = theirs[their_name + suffix]
    for i in range(num_hidden_layers):
        for suffix in (".weight", ".bias"):
            parts = [theirs[part.format(i=i) + suffix] for part in _PARTS]
            ours["bert." + _FUSED.format(i=i) + suffix] = torch.cat(parts)
    return ours


def to_hugging_face(ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse: a state dict of `BertForPreTraining` under transformers' names (BertForPreTraining there)."""
    num_hidden_layers = 1 + max(int(m[1]) for name in ours if (m := re.search(r"blocks\.(\d+)\.", name)))
    names, theirs = _names(num_hidden_layers), {}
    for name, tensor in ours.items():
        stem, _, suffix = name.rpartition(".")
        if name in names:
            theirs[_prefixed(names[name])] = tensor
        elif stem in names:
            theirs[f"{_prefixed(names[stem])}.{suffix}"] = tensor
    for i in range(num_hidden_layers):
        for suffix in (".weight", ".bias"):
            fused = ours["bert." + _FUSED.format(i=i) + suffix]
            for part, tensor in zip(_PARTS, fused.chunk(3), strict=True):
                theirs[_prefixed(part.format(i=i)) + suffix] = tensor.clone()
    return theirs


def load_hugging_face(folder: Path) -> tuple[BertConfig, dict[str, Tensor]]:
    """Config and state dict (keys of `BertForPreTraining`) of a folder with `config.json` and `model.safetensors`.

    Raises:
        FileNotFoundError: one of the two files is missing.
        ValueError: an unsupported architecture, or a damaged file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = config_from_hugging_face(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    try:
        theirs = load_file(folder / "model.safetensors")
    except SafetensorError as error:
        raise ValueError(f"{folder / 'model.safetensors'} is damaged ({error})") from None
    try:
        return config, from_hugging_face(theirs, config.num_hidden_layers)
    except KeyError as error:
        raise ValueError(f"{folder / 'model.safetensors'} does not hold {error.args[0]}") from None


def _names(num_hidden_layers: int) -> dict[str, str]:
    blocks = {ours.format(i=i): theirs.format(i=i) for i in range(num_hidden_layers) for ours, theirs in _BLOCK.items()}
    encoder = {f"bert.{ours}": theirs for ours, theirs in (_EMBEDDINGS | blocks).items()}
    return encoder | _POOLER | _HEADS


def _modern(name: str) -> str:
    name = name.removeprefix("bert.")
    return re.sub(r"beta$", "bias", re.sub(r"gamma$", "weight", name))


def _prefixed(name: str) -> str:
    return name if name.startswith("cls.") else f"bert.{name}"
