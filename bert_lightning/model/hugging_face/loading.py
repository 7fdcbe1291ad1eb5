"""Read a Hugging Face folder: its config, its tensors, and notes on tensors that are not used.

Sizes are checked before memory of these sizes is allocated. Only tensors and plain data are read. No code of the
checkpoint is run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.model.hugging_face.conversion import (
    config_from_hugging_face,
    from_hugging_face,
    identity_projection,
    model_type_of,
    modern_names,
    tensor_sources,
)
from bert_lightning.model.hugging_face.families import FAMILIES, Family
from bert_lightning.model.hugging_face.weight_files import config_file, read_json_object, read_weights
from bert_lightning.model.positions import SinusoidalPositions

# Tensors that no prediction depends on: buffers stored by older versions of transformers, and poolers without a head.
_IDLE = re.compile(r"(^|\.)(position_ids|token_type_ids|inv_freq|pooler\.dense\.(weight|bias))$")

# Types whose values are the weights. Types of 8 bits need scales that this encoder does not have.
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class HuggingFaceModel:
    """The model in a Hugging Face folder, with tensors named as in `conversion.py`.

    `left_out` has a sentence for each thing that was not read. `file` holds the weights, or is the index of its shards.
    """

    file: Path
    dtype: torch.dtype  # the type of the stored word embeddings
    model_type: str
    config: BertConfig
    tensors: dict[str, Tensor]
    left_out: list[str]


def load_hugging_face(folder: Path) -> HuggingFaceModel:
    """Read the model in a folder: its config, and weights in any form that `weight_files.py` reads.

    If the folder has an MLM output matrix that differs from the embeddings, the model is untied, even if its
    `config.json` says otherwise. transformers also computes with that matrix. A head that is not whole is left out.

    Raises:
        ValueError: if the architecture is not supported, or a file is damaged; the message names the file.
    """
    config_path = config_file(folder) or folder / "config.json"
    settings = read_json_object(config_path)
    try:
        config = config_from_hugging_face(settings)
    except ValueError as error:
        raise ValueError(f"{config_path}: {str(error)[:300]}") from None
    path, theirs = read_weights(folder)
    model_type = model_type_of(settings)
    family = FAMILIES[model_type]
    try:
        stored_names = modern_names(theirs, model_type)
        theirs = {name: theirs[stored] for name, stored in stored_names.items()}
        theirs, config = _with_own_decoder(theirs, config, family)
        config = _with_stored_positions(theirs, config, family)
        theirs = _without_identity(theirs, config, family)
        sources = tensor_sources(theirs, config, model_type)
        _check_encoder(theirs, sources, config)
        sources = _without_part_of_head(sources, config)
        tensors = from_hugging_face(theirs, config, model_type)
        tensors = {name: tensor for name, tensor in tensors.items() if name in sources}
    except ValueError as error:
        raise ValueError(f"{path} does not fit its config.json: {str(error)[:300]}") from None
    used = {name for names in sources.values() for name in names}
    unread = sorted(stored_names[name] for name in _unread(theirs, used, family))
    left_out = [*_tensors_left_out(unread), *_settings_left_out(settings, family)]
    dtype = theirs[sources["bert.embeddings.word.weight"][0]].dtype
    return HuggingFaceModel(path, dtype, model_type, config, tensors, left_out)


def _with_own_decoder(
    theirs: dict[str, Tensor], config: BertConfig, family: Family
) -> tuple[dict[str, Tensor], BertConfig]:
    """Decide whether the MLM output matrix is tied to the embeddings, and drop the stored copy if it is."""
    decoder, words = f"{family.decoder}.weight", f"{family.prefix}{family.encoder['embeddings.word']}.weight"
    if decoder not in theirs:
        return theirs, config
    if config.tie_word_embeddings and (words not in theirs or torch.equal(theirs[decoder], theirs[words])):
        return {name: tensor for name, tensor in theirs.items() if name != decoder}, config
    return theirs, replace(config, tie_word_embeddings=False)


def _with_stored_positions(theirs: dict[str, Tensor], config: BertConfig, family: Family) -> BertConfig:
    """Decide whether the position table is the sinusoidal one that `config` states, or a trained one.

    Published files hold trained tables behind `sinusoidal_pos_embds=true`. transformers computes with the stored table.

    Raises:
        ValueError: if the table is missing, or has another shape.
    """
    if config.positions != "sinusoidal":
        return config
    name = f"{family.prefix}{family.encoder['embeddings.position']}.weight"
    shape = [config.max_position_embeddings, config.embedding_width]
    if name not in theirs or list(theirs[name].shape) != shape:
        raise ValueError(f"it must hold {name} of shape {shape}")
    if torch.allclose(theirs[name].float(), SinusoidalPositions(config).table, atol=1e-3):
        return config
    return replace(config, positions="learned")


def _without_part_of_head(sources: dict[str, list[str]], config: BertConfig) -> dict[str, list[str]]:
    """Drop the tensors of a masked language model head that is not whole, since nothing can compute with them.

    ModernBERT's classes for tasks have some of its tensors, for their own heads.
    """
    with torch.device("meta"):
        wanted = {f"masked_lm.{name}" for name in MaskedLMHead(config).state_dict()}
    if wanted <= sources.keys():
        return sources
    return {name: parts for name, parts in sources.items() if name not in wanted}


def _without_identity(theirs: dict[str, Tensor], config: BertConfig, family: Family) -> dict[str, Tensor]:
    """Drop the projection if the embeddings are as wide as the encoder. Our encoder then has no projection.

    Raises:
        ValueError: if the projection is not the identity.
    """
    if not family.projects or config.embedding_width != config.hidden_size:
        return theirs
    name = family.prefix + family.encoder["embeddings.projection"]
    found = {key: tensor for key, tensor in theirs.items() if key.startswith(f"{name}.")}
    size = config.hidden_size
    fits = all(list(tensor.shape) in ([size, size], [size]) for tensor in found.values())
    if found and not (fits and _equal(found, identity_projection(family, config))):
        raise ValueError(f"embedding_size={size} is hidden_size, and {name} changes the embeddings: not supported")
    return {key: tensor for key, tensor in theirs.items() if key not in found}


def _equal(some: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    return some.keys() == others.keys() and all(torch.equal(some[key].float(), others[key]) for key in some)


def _check_encoder(theirs: dict[str, Tensor], sources: dict[str, list[str]], config: BertConfig) -> None:
    """Check that every tensor of the encoder exists, is floating point, and has the shape that the config gives.

    The shapes come from an encoder on the device `meta`, so that wrong sizes in the file allocate no memory.

    Raises:
        ValueError: if a tensor is missing or differs.
    """
    try:
        with torch.device("meta"):
            wanted = {f"bert.{name}": tensor.shape for name, tensor in BERT(config).state_dict().items()}
    except RuntimeError as error:
        raise ValueError(f"its sizes are too large ({str(error)[:80]})") from None
    if missing := [name for name in wanted if name not in sources]:
        raise ValueError(f"it holds no tensor for {missing[0]} ({len(missing)} are missing)")
    for name, parts in sources.items():
        for part in parts:
            if theirs[part].dtype not in _DTYPES:
                raise ValueError(f"{part} holds {theirs[part].dtype}, not numbers of a trained model")
            if name in wanted:
                shape = [wanted[name][0] // len(parts), *wanted[name][1:]]
                if list(theirs[part].shape) != shape:
                    raise ValueError(f"{part} has shape {list(theirs[part].shape)}, but the sizes there make {shape}")


def _unread(theirs: dict[str, Tensor], used: set[str], family: Family) -> list[str]:
    copies = {f"{family.decoder}.bias", family.heads["masked_lm.bias"]}  # transformers has two names for one bias
    return [name for name in theirs if name not in used | copies and not _IDLE.search(name)]


def _tensors_left_out(unread: list[str]) -> list[str]:
    if not unread:
        return []
    names = ", ".join(unread[:3]) + (", ..." if len(unread) > 3 else "")
    return [f"{len(unread)} tensors are not read, for no part here computes with them ({names[:200]})"]


def _settings_left_out(settings: dict[str, Any], family: Family) -> list[str]:
    name, default = family.settings["dropout_rate"]
    rate = settings.get(name, default)
    found = [f"{other}={settings[other]}" for other in family.dropouts if settings.get(other, rate) != rate]
    notes = [f"{', '.join(found)} is not read: {name}={rate} serves the whole encoder in training"] if found else []
    if settings.get("auto_map"):
        notes.append(f"the code that auto_map names is not run: this is read as {family.name} of transformers")
    return notes
