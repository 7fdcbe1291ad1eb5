"""`bert-lightning export`: a checkpoint -> a folder that transformers reads. Tensors are safetensors, never pickles."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from bert_lightning.errors import UserError
from bert_lightning.model.families import FAMILIES
from bert_lightning.model.interop import config_to_hugging_face, task_to_hugging_face, to_hugging_face
from bert_lightning.runs.checkpoint import PretrainedWeights, load
from bert_lightning.runs.environment import note
from bert_lightning.runs.folder import newest_run
from bert_lightning.runs.writing import output_folder
from bert_lightning.text.special_tokens import SpecialIds, special_names

# Our checkpoint's keys -> the names of `model/interop.py`.
_PREFIXES = {
    "encoder.": "bert.",
    "objective.terms.mlm.head.": "masked_lm.",
    "objective.terms.nsp.head.": "next_sentence.",
    "objective.terms.sop.head.": "next_sentence.",
    "objective.terms.replaced.head.": "replaced_tokens.",
    "objective.terms.classification.head.": "classification.",
    "objective.terms.regression.head.": "classification.",
    "objective.terms.tagging.head.": "tagging.",
    "objective.terms.spans.head.": "spans.",
}


def run(config: DictConfig) -> None:
    """Export, and say what the folder is."""
    location = config.run
    if location == "newest":
        location = str(newest_run(Path(config.runs), ("pretrain", "finetune")))
    output = Path(config.output)
    print(f"{output}: {export(load(location), output, config.family)}, for transformers' from_pretrained")


def export(source: PretrainedWeights, output: Path, family: str | None) -> str:
    """Write the folder, whole or not at all; the family that it is of.

    Raises:
        UserError: the folder exists, or the family has no such architecture.
    """
    if os.path.lexists(output):
        raise UserError(f"{output} exists: choose another output=..., or delete it")
    ours, left = _renamed(source.tensors)
    if family is None and any(name.startswith("replaced_tokens.") for name in ours):
        family = "electra"  # its architecture is BERT's too; the head is its own
    head = _head(source, ours)
    family, settings, no_head = _settings(source, family, head)
    if no_head:
        left.append(f"the head ({no_head})")
        ours = {name: tensor for name, tensor in ours.items() if name.startswith("bert.")}
    theirs = {name: tensor.contiguous() for name, tensor in to_hugging_face(ours, source.config, family).items()}
    special = SpecialIds.of(source.tokenizer)
    settings = {"pad_token_id": special.pad, **settings}
    with output_folder(output) as folder:
        _write(folder / "config.json", settings)
        save_file(theirs, folder / "model.safetensors", metadata={"format": "pt"})
        source.tokenizer.save(str(folder / "tokenizer.json"))
        _write(folder / "tokenizer_config.json", _tokenizer_settings(source.tokenizer, source.config))
    if left:
        note(f"{family} has no place for {', '.join(left)}: left out")
    return family


def _renamed(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Under the names of `model/interop.py`, and the parts that have none there."""
    ours: dict[str, Tensor] = {}
    left: dict[str, None] = {}
    for name, tensor in tensors.items():
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
        if prefix is None:
            left[".".join(name.split(".")[:3])] = None
        else:
            ours[_PREFIXES[prefix] + name.removeprefix(prefix)] = tensor
    return ours, list(left)


def _head(source: PretrainedWeights, ours: dict[str, Tensor]) -> str | None:
    """The head of a task that has a name in transformers, if the checkpoint has one."""
    heads = [name.partition(".")[0] for name in ours if not name.startswith("bert.")]
    return heads[0] if "task" in source.card and heads else None


def _settings(
    source: PretrainedWeights, family: str | None, head: str | None
) -> tuple[str, dict[str, Any], str | None]:
    """The first family with this architecture and head, its settings; and why it goes without, where none has it."""
    fitting, reasons = [], []
    for name in FAMILIES if family is None else [family]:
        try:
            settings = config_to_hugging_face(source.config, name)
        except ValueError as error:
            reasons.append(str(error))
            continue
        if head is None:
            return name, settings, None
        try:
            return name, settings | task_to_hugging_face(source.config, name, head, source.card["task"]["labels"]), None
        except ValueError as error:
            fitting.append((name, settings, str(error)))
    if fitting:
        return fitting[0]
    raise UserError(f"{source.path} is of no architecture that transformers has under these names: {reasons[0]}")


def _tokenizer_settings(tokenizer: Tokenizer, config: Any) -> dict[str, Any]:
    names = {f"{role}_token": name for role, name in special_names(tokenizer).items()}
    inputs = ["input_ids", *(["token_type_ids"] if config.type_vocab_size > 1 else []), "attention_mask"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config.max_position_embeddings,
        "model_input_names": inputs,
        **names,
    }


def _write(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
