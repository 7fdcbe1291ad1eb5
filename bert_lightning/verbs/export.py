"""`bert-lightning export`: a checkpoint -> a folder that transformers reads. Tensors are safetensors, never pickles."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.model.families import FAMILIES
from bert_lightning.model.interop import (
    config_from_hugging_face,
    config_to_hugging_face,
    differences,
    has_head,
    task_to_hugging_face,
    to_hugging_face,
)
from bert_lightning.runs.checkpoint import PretrainedWeights, load
from bert_lightning.runs.environment import note
from bert_lightning.runs.folder import newest_run
from bert_lightning.runs.writing import output_folder
from bert_lightning.text.encoding import with_spaced_words
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
_OF_TASKS = ("classification", "tagging", "spans")


def run(config: DictConfig) -> None:
    """Export, and say what the folder is."""
    location = config.run
    if location == "newest":
        location = str(newest_run(Path(config.runs), ("pretrain", "finetune")))
    output = Path(config.output)
    print(f"{output}: {export(load(location), output, config.family)}, for transformers' from_pretrained")


@dataclass(frozen=True)
class _Layout:
    """A family that has the architecture, its `config.json`, and why it has no place for some of the heads."""

    family: str
    settings: dict[str, Any]
    lost: dict[str, str]  # heads by the names of `model/interop.py`, with the reason or nothing


def export(source: PretrainedWeights, output: Path, family: str | None) -> str:
    """Write the folder, whole or not at all; the family that it is of.

    Raises:
        UserError: the folder exists or cannot be written, or the family has no such architecture.
    """
    if os.path.lexists(output):
        raise UserError(f"{output} exists: choose another output=..., or delete it")
    ours, terms, left = _renamed(source.tensors)
    special = SpecialIds.of(source.tokenizer)
    layout = _layout(source, family, terms, special)
    ours = {name: tensor for name, tensor in ours.items() if name.partition(".")[0] not in layout.lost}
    theirs = {name: tensor.contiguous() for name, tensor in to_hugging_face(ours, source.config, layout.family).items()}
    # A tagger has learned words as they stand in a sentence; transformers needs a setting of the tokenizer for that.
    tokenizer = with_spaced_words(source.tokenizer) if "tagging" in terms else source.tokenizer
    with output_folder(output) as folder:
        _write(folder / "config.json", {"pad_token_id": special.pad, **layout.settings})
        save_file(theirs, folder / "model.safetensors", metadata={"format": "pt"})
        tokenizer.save(str(folder / "tokenizer.json"))
        _write(folder / "tokenizer_config.json", _tokenizer_settings(tokenizer, source.config))
    left += [terms[head] + f" ({reason})" * bool(reason) for head, reason in layout.lost.items()]
    if left:
        note(f"{layout.family} has no place for {', '.join(left)}: left out")
    return layout.family


def _renamed(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str], list[str]]:
    """Rename tensors as in `model/interop.py`.

    Returns the tensors; of each head the term that it is of; and the terms that have no name there.
    """
    ours: dict[str, Tensor] = {}
    terms: dict[str, str] = {}
    left: dict[str, None] = {}
    for name, tensor in tensors.items():
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
        term = ".".join(name.split(".")[:3])
        head = "" if prefix is None else _PREFIXES[prefix].rstrip(".")
        is_head = prefix is not None and prefix.startswith("objective.")
        if prefix is None or (is_head and terms.setdefault(head, term) != term):  # two terms, one place
            left[term] = None
        else:
            ours[_PREFIXES[prefix] + name.removeprefix(prefix)] = tensor
    return ours, terms, list(left)


def _layout(source: PretrainedWeights, family: str | None, heads: Iterable[str], special: SpecialIds) -> _Layout:
    """The family that has the architecture and the most of the heads; of several one that reads the same config back.

    Raises:
        UserError: none has the architecture; the message says in what the nearest differs, or the one asked for.
    """
    fitting: list[_Layout] = []
    misfits: list[list[str]] = []
    for name in FAMILIES if family is None else [family]:
        try:
            found = differences(source.config, name) or _other_padding(source.config, name, special)
        except ValueError as error:
            found = [str(error)] * (1 + len(fields(source.config)))  # further away than any that can be compared
        if found:
            misfits.append(found)
            continue
        settings = config_to_hugging_face(source.config, name)
        lost: dict[str, str] = {}
        for head in heads:
            try:
                if head not in _OF_TASKS or "task" not in source.card:
                    lost |= {} if has_head(name, head) else {head: ""}
                else:
                    settings |= task_to_hugging_face(source.config, name, head, source.card["task"]["labels"])
            except ValueError as error:
                lost[head] = str(error)
        fitting.append(_Layout(name, settings, lost))
    if fitting:
        return min(fitting, key=lambda it: (len(it.lost), config_from_hugging_face(it.settings) != source.config))
    nearest = min(misfits, key=len)
    more = f" (and {len(set(nearest)) - 1} more differences)" if len(set(nearest)) > 1 else ""
    raise UserError(f"{source.path} is of no architecture that transformers has under these names: {nearest[0]}{more}")


def _other_padding(config: BertConfig, family: str, special: SpecialIds) -> list[str]:
    """Where a family counts positions from the padding id, that must be the tokenizer's."""
    pad = config_to_hugging_face(config, family).get("pad_token_id", special.pad)
    if pad == special.pad:
        return []
    return [f"position_offset={config.position_offset} needs the padding id {pad} in {family}, not {special.pad}"]


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
