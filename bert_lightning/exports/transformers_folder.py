"""Write a checkpoint as a folder that transformers reads, with its tensors as safetensors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from bert_lightning.errors import UserError
from bert_lightning.exports.model_card import Target, model_card
from bert_lightning.model.config import BertConfig
from bert_lightning.model.hugging_face.conversion import (
    config_from_hugging_face,
    config_to_hugging_face,
    differences,
    has_head,
    task_to_hugging_face,
    to_hugging_face,
)
from bert_lightning.model.hugging_face.families import FAMILIES
from bert_lightning.runs.atomic_writes import output_folder
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.runtime.environment import note
from bert_lightning.text.tokenizers.batch_tokenizer import with_spaced_words
from bert_lightning.text.tokenizers.special_tokens import SpecialIds, special_names

# Types of heads in our checkpoints -> names of heads in `model/hugging_face/conversion.py`.
_HEADS = {
    "masked_lm": "masked_lm",
    "next_sentence": "next_sentence",
    "sentence_order": "next_sentence",
    "replaced_token": "replaced_tokens",
    "sequence_classification": "classification",
    "token_classification": "tagging",
    "span": "spans",
}
_OF_TASKS = ("classification", "tagging", "spans")
# Heads -> the hub's name of what a model with this head does, and transformers' class that loads it.
_PIPELINES = {
    "classification": ("text-classification", "AutoModelForSequenceClassification"),
    "tagging": ("token-classification", "AutoModelForTokenClassification"),
    "spans": ("question-answering", "AutoModelForQuestionAnswering"),
    "masked_lm": ("fill-mask", "AutoModelForMaskedLM"),
}


@dataclass(frozen=True)
class _Layout:
    """A model family that has the checkpoint's architecture, its `config.json`, and the heads that it lacks."""

    family: str
    settings: dict[str, Any]
    lost: dict[str, str]  # head, by its name in `model/hugging_face/conversion.py` -> the reason, or an empty text


@dataclass(frozen=True)
class TransformersModel:
    """A checkpoint in the format of transformers. `heads` are those that its family has."""

    family: str
    settings: dict[str, Any]
    tensors: dict[str, Tensor]
    tokenizer: Tokenizer
    tokenizer_settings: dict[str, Any]
    heads: list[str]
    left_out: list[str]  # terms whose heads the family lacks, with the reasons

    def write(self, folder: Path) -> None:
        """Write the files that `from_pretrained` reads into a folder."""
        write_json(folder / "config.json", self.settings)
        save_file(self.tensors, folder / "model.safetensors", metadata={"format": "pt"})
        self.tokenizer.save(str(folder / "tokenizer.json"))
        write_json(folder / "tokenizer_config.json", self.tokenizer_settings)


def export(source: PretrainedWeights, output: Path, family: str | None) -> str:
    """Write a checkpoint as a folder, and return the name of its model family. An error leaves no folder.

    Raises:
        UserError: if the folder exists or cannot be written, or the family does not have the architecture.
    """
    check_is_new(output)
    model = transformers_model(source, family)
    with output_folder(output) as folder:
        model.write(folder)
        card = model_card(source, output.name, _target(output.name, model))
        (folder / "README.md").write_text(card, encoding="utf-8")
    if model.left_out:
        note(f"{model.family} has no head for {', '.join(model.left_out)}: left out")
    return model.family


def check_is_new(output: Path) -> None:
    """Raise UserError if something exists at the path of the new folder."""
    if os.path.lexists(output):
        raise UserError(f"output={output} exists already: choose another path, or delete it")


def transformers_model(source: PretrainedWeights, family: str | None) -> TransformersModel:
    """Return a checkpoint in the format of transformers.

    Args:
        source: the checkpoint.
        family: name of the model family; None: the one that fits best.

    Raises:
        UserError: if the family, or every family, lacks the architecture.
    """
    ours, terms, left_out = _renamed(source)
    special = SpecialIds.of(source.tokenizer)
    layout = _layout(source, family, terms, special)
    ours = {name: tensor for name, tensor in ours.items() if name.partition(".")[0] not in layout.lost}
    theirs = {name: tensor.contiguous() for name, tensor in to_hugging_face(ours, source.config, layout.family).items()}
    # Token classification was trained on words with a space before them. Transformers needs a tokenizer setting for it.
    tokenizer = with_spaced_words(source.tokenizer) if "tagging" in terms else source.tokenizer
    return TransformersModel(
        layout.family,
        {"pad_token_id": special.pad, **layout.settings},
        theirs,
        tokenizer,
        _tokenizer_settings(tokenizer, source.config),
        [head for head in terms if head not in layout.lost],
        left_out + [terms[head] + f" ({reason})" * bool(reason) for head, reason in layout.lost.items()],
    )


def _target(name: str, model: TransformersModel) -> Target:
    """Return what the model card says of a folder with this name: its family, its heads, and how it is loaded."""
    served = [_PIPELINES[head] for head in _PIPELINES if head in model.heads]
    pipeline, loader = served[0] if served else ("feature-extraction", "AutoModel")
    transformers = (
        f"from transformers import AutoTokenizer, {loader}\n\n"
        f"tokenizer = AutoTokenizer.from_pretrained({name!r})\n"
        f"model = {loader}.from_pretrained({name!r})"
    )
    ours = f'import bert_lightning\n\nmodel = bert_lightning.load({name!r})\nvectors = model.embed(["A text."])'
    of_heads = f", with its heads {', '.join(model.heads)}" if model.heads else ""
    return Target(
        library="transformers",
        pipeline=pipeline,
        tags=(model.family,),
        files=f"An encoder of the family {model.family}, for transformers{of_heads}.",
        usage=(("With transformers:", transformers), ("Embeddings of texts, with bert-lightning:", ours)),
    )


def _renamed(source: PretrainedWeights) -> tuple[dict[str, Tensor], dict[str, str], list[str]]:
    """Return the tensors under the names of `model/hugging_face/conversion.py`.

    Returns:
        the renamed tensors; head -> the term that it belongs to; and the terms that are left out.
    """
    names = {term: _HEADS[kind] for term, kind in source.head_types().items() if kind in _HEADS}
    ours: dict[str, Tensor] = {}
    terms: dict[str, str] = {}
    left_out: dict[str, None] = {}
    for name, tensor in source.tensors.items():
        if name.startswith("encoder."):
            ours[f"bert.{name.removeprefix('encoder.')}"] = tensor
            continue
        term = ".".join(name.split(".")[:3])
        head = names.get(term.rpartition(".")[2])
        if head is None or not name.startswith(f"{term}.head.") or terms.setdefault(head, term) != term:
            left_out[term] = None  # transformers has no such head, or another term has it already
        else:
            ours[f"{head}.{name.removeprefix(f'{term}.head.')}"] = tensor
    return ours, terms, list(left_out)


def _layout(source: PretrainedWeights, family: str | None, heads: Iterable[str], special: SpecialIds) -> _Layout:
    """Return the layout of the family that has the architecture and the most heads.

    Among equal families, one whose `config.json` gives back the same config is preferred.

    Args:
        source: the checkpoint.
        family: name of the only family to try; None for all.
        heads: heads of the checkpoint, as `model/hugging_face/conversion.py` names them.
        special: ids of the special tokens.

    Raises:
        UserError: if no family has the architecture; the message gives a difference from the nearest one.
    """
    fitting: list[_Layout] = []
    misfits: list[list[str]] = []
    for name in FAMILIES if family is None else [family]:
        try:
            found = differences(source.config, name) or _other_padding(source.config, name, special)
        except ValueError as error:
            found = [str(error)] * (1 + len(fields(source.config)))  # farther away than any family that can be compared
        if found:
            misfits.append(found)
            continue
        settings = config_to_hugging_face(source.config, name)
        lost: dict[str, str] = {}
        for head in heads:
            try:
                if head not in _OF_TASKS or "task" not in source.metadata:
                    lost |= {} if has_head(name, head) else {head: ""}
                else:
                    settings |= task_to_hugging_face(source.config, name, head, source.metadata["task"]["labels"])
            except ValueError as error:
                lost[head] = str(error)
        fitting.append(_Layout(name, settings, lost))
    if fitting:
        return min(fitting, key=lambda it: (len(it.lost), config_from_hugging_face(it.settings) != source.config))
    nearest = min(misfits, key=len)
    more = f" (and {len(set(nearest)) - 1} more differences)" if len(set(nearest)) > 1 else ""
    raise UserError(f"{source.path}: no model family of transformers has this architecture: {nearest[0]}{more}")


def _other_padding(config: BertConfig, family: str, special: SpecialIds) -> list[str]:
    """Return a list with one sentence if the family needs another padding id than the tokenizer's, else an empty list.

    Some families count positions from the padding id.
    """
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


def write_json(path: Path, values: Any) -> None:
    """Write a file of JSON."""
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
