"""Initialize a new run from pretrained weights, and load the teacher of a distillation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from tokenizers import Tokenizer

from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.objectives.base import JointObjective
from bert_lightning.quoting import quote_for_shell
from bert_lightning.runs.grown_weights import grown
from bert_lightning.runs.pretrained import PretrainedWeights, load_pretrained
from bert_lightning.runtime.environment import note

_BLOCK = re.compile(r"^encoder\.blocks\.(\d+)\.")


def teacher(location: str | None) -> PretrainedWeights:
    """Load the weights of the teacher. `location` is any location that `load_pretrained` takes.

    Raises:
        UserError: if the location is None.
    """
    if location is None:
        raise UserError("distillation needs a teacher: give teacher=<a run's folder or a Hugging Face folder>")
    return load_pretrained(location)


def copy_weights(
    source: PretrainedWeights,
    tokenizer: Tokenizer,
    encoder: BERT,
    objective: JointObjective,
    extend_positions: str = "tile",
) -> None:
    """Copy pretrained weights into a new encoder, and into the heads of an objective if the source has these heads.

    A head is found by its type (`Objective.head_type`), so its term may have another name in the source. A head without
    a type is found by the name of its term. A note names the heads that keep random weights.

    If the new encoder has fewer layers, it gets evenly spaced layers of the source, including the first and the last.
    For example, 6 layers are copies of the layers 0, 2, 4, 7, 9 and 11 of 12, as in DistilBERT
    (huggingface/transformers, `extract_distilbert.py`).

    Args:
        source: the pretrained weights.
        tokenizer: the tokenizer of the new run. It may have further words: see `runs/grown_weights.py`.
        encoder: the new encoder.
        objective: the objective whose heads are initialized.
        extend_positions: how learned positions beyond those of the source begin: `tile` or `interpolate`.

    Raises:
        UserError: if the vocabulary differs, the new encoder has more layers, or the source lacks a tensor or has it in
            another shape.
    """
    source = grown(source, tokenizer, encoder.config, extend_positions)
    _check_fits(source, tokenizer, encoder.config)
    layers = layers_to_copy(_depth(source.tensors), _depth(f"encoder.{name}" for name in encoder.state_dict()))
    tensors = {name: tensor for name, tensor in source.tensors.items() if not _BLOCK.match(name)}
    for name, tensor in source.tensors.items():
        if found := _BLOCK.match(name):
            copies = [ours for ours, theirs in enumerate(layers) if theirs == int(found[1])]
            tensors.update({f"encoder.blocks.{ours}.{name[found.end() :]}": tensor for ours in copies})
    replace(source, tensors=tensors).fill(encoder, "encoder.")
    shapes = {name: tensor.shape for name, tensor in objective.state_dict().items()}
    theirs_of = {term: f"objective.terms.{_term_in(source, objective, term)}." for term in objective.terms}
    ours = {name: tensors.get(theirs_of[name.split(".")[1]] + name.split(".", 2)[2]) for name in shapes}
    fitting = {name: tensor for name, tensor in ours.items() if tensor is not None and tensor.shape == shapes[name]}
    objective.load_state_dict(fitting, strict=False)
    if fresh := sorted({".".join(name.split(".")[:2]) for name in shapes.keys() - fitting.keys()}):
        terms = ", ".join(f"objective.{term}" for term in fresh)
        note(f"init_from: {source.path} lacks weights for {terms}: they are initialized at random")


def _term_in(source: PretrainedWeights, objective: JointObjective, term: str) -> str:
    """Return the name that a term has in the source: the same name, or else the first term with a head of its type."""
    kind, theirs = objective.head_types().get(term), source.head_types()
    same = [name for name in theirs if kind == theirs[name]]
    return term if term in same or not same else same[0]


# Fields of a model's config that decide the shapes of tensors, except the number of layers.
_SIZES = ("vocab_size", "hidden_size", "embedding_width", "intermediate_size", "type_vocab_size")
_TABLE = ("max_position_embeddings", "position_offset")  # fields that decide the shape of learned position embeddings
# Fields that may differ from the source: the number of layers, and settings of training.
_FREE = ("embedding_size", "num_hidden_layers", "num_hidden_groups", "dropout_rate", "initializer_range",
         "depth_scaled_init")  # fmt: skip


def check_sizes(source: PretrainedWeights, config: Mapping[Any, Any]) -> None:
    """Check the sizes of a new encoder against those of pretrained weights, before anything is prepared.

    Args:
        source: the pretrained weights.
        config: the fields of the new encoder's config. The number of layers and the vocabulary are not compared.

    Raises:
        UserError: if a size differs; the message says what to add to the command line.
    """
    names = ("hidden_size", "intermediate_size", "num_attention_heads")
    wrong = [
        f"model.{name}={getattr(source.config, name)}" for name in names if config[name] != getattr(source.config, name)
    ]
    if wrong:
        raise UserError(f"init_from: the encoder of {source.path} has other sizes than this run: add {' '.join(wrong)}")


def _check_fits(source: PretrainedWeights, tokenizer: Tokenizer, config: BertConfig) -> None:
    """Check that pretrained weights fit the tokenizer and the config of a new encoder.

    If a setting differs that changes the encoder's outputs but no shape, a note names it.

    Raises:
        UserError: if the vocabulary or a size differs; the message says what to add to the command line.
    """
    theirs = source.config
    names = _SIZES + _TABLE if "learned" == theirs.positions == config.positions else _SIZES
    wrong = [name for name in names if getattr(theirs, name) != getattr(config, name)]
    if not config.type_vocab_size:  # an encoder without segment embeddings ignores those of the source
        wrong = [name for name in wrong if name != "type_vocab_size"]
    if theirs.embedding_size == config.embedding_size:  # a different width then follows from hidden_size
        wrong = [name for name in wrong if name != "embedding_width"]
    overrides = [f"model.{name.replace('width', 'size')}={getattr(theirs, name)}" for name in wrong]
    if source.tokenizer.get_vocab() != tokenizer.get_vocab():
        folder = source.path.parent.parent if source.path.suffix == ".ckpt" else source.path  # it holds the tokenizer
        overrides = ["tokenizer=files", quote_for_shell(f"tokenizer.path={folder}"), *overrides]
        raise UserError(f"init_from: {source.path} has another vocabulary than this run: add {' '.join(overrides)}")
    if overrides:
        raise UserError(
            f"init_from: the encoder of {source.path} has other sizes than this run: add {' '.join(overrides)}"
        )
    other = [
        f"model.{field.name}={getattr(theirs, field.name)}"
        for field in fields(theirs)
        if field.name not in _SIZES + _TABLE + _FREE
        and not field.name.startswith("classifier_")
        and getattr(theirs, field.name) != getattr(config, field.name)
    ]
    if other:
        note(f"init_from: {source.path} was trained with {' '.join(other)}, unlike this run")


def layers_to_copy(source_layers: int, layers: int) -> list[int]:
    """Return the indices of the source's layers to copy, one for each of the `layers` layers of a new encoder.

    Raises:
        UserError: if the new encoder has more layers than the source.
    """
    if layers > source_layers:
        raise UserError(
            f"init_from: model.num_hidden_layers={layers} is more than the pretrained encoder's {source_layers}: "
            f"use {source_layers} or less"
        )
    if layers == 1:
        return [source_layers - 1]
    return [round(i * (source_layers - 1) / (layers - 1)) for i in range(layers)]


def _depth(names: Iterable[str]) -> int:
    """Return the number of layers of an encoder, from the names of its weights."""
    return 1 + max((int(found[1]) for name in names if (found := _BLOCK.match(name))), default=-1)
