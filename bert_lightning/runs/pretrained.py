"""Load pretrained weights from a run, a checkpoint file, a Hugging Face folder, the hub or an installed package."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor, nn

from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.model.hugging_face.loading import load_hugging_face
from bert_lightning.model.hugging_face.weight_files import config_file
from bert_lightning.modules.checkpoint_keys import METADATA_KEY
from bert_lightning.objectives.base import HEAD_TYPES
from bert_lightning.runs.checkpoint_reading import check_finite_weights, read_checkpoint
from bert_lightning.runs.run_files import unreadable_message
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runtime.environment import note
from bert_lightning.text.locations import locate
from bert_lightning.text.tokenizers.recipes import fingerprint, load_tokenizer, vocabulary_size

# Prefixes of Hugging Face weights under the names of `model/hugging_face/conversion.py` -> prefixes in our checkpoints.
_HUGGING_FACE_PREFIXES = {
    "bert.": "encoder.",
    "masked_lm.": "objective.terms.mlm.head.",
    "next_sentence.": "objective.terms.nsp.head.",
    "replaced_tokens.": "objective.terms.rtd.head.",
}
# Prefixes that differ in a model family. ALBERT's head for segment pairs predicts their order.
_OF_FAMILY = {"albert": {"next_sentence.": "objective.terms.sop.head."}}
# Term -> the type of its head, for weights without this metadata: Hugging Face folders, and checkpoints of older
# versions.
_HEAD_TYPES = {
    "mlm": "masked_lm",
    "nsp": "next_sentence",
    "sop": "sentence_order",
    "rtd": "replaced_token",
    "classification": "sequence_classification",
    "regression": "sequence_classification",
    "tagging": "token_classification",
    "spans": "span",
}
_HEAD = re.compile(r"^objective\.terms\.(\w+)\.head\.")


@dataclass(frozen=True)
class PretrainedWeights:
    """Pretrained weights on the CPU, under the names of our checkpoints, with their config, tokenizer and metadata.

    `step` is the number of updates behind the weights; None if it is not known. `loaded` says in a few words what was
    read from a Hugging Face folder; empty if the weights are ours.
    """

    path: Path
    config: BertConfig
    tokenizer: Tokenizer
    tensors: dict[str, Tensor]
    metadata: dict[str, Any] = field(default_factory=dict)
    step: int | None = None
    loaded: str = ""

    def encoder(self) -> BERT:
        """Return a new encoder with these weights."""
        bert = BERT(self.config)
        self.fill(bert, "encoder.")
        return bert

    def fill(self, module: nn.Module, prefix: str) -> None:
        """Load the weights whose names begin with `prefix` into `module`.

        Raises:
            UserError: if a weight is missing, or has another shape than in `module`.
        """
        wanted = {name: self.tensors[prefix + name] for name in module.state_dict() if prefix + name in self.tensors}
        if missing := [name for name in module.state_dict() if name not in wanted]:
            raise UserError(
                f"{self.path} has no tensor {prefix}{missing[0]} ({len(missing)} are missing): "
                "give a checkpoint of the same architecture"
            )
        for name, tensor in module.state_dict().items():
            if tensor.shape != wanted[name].shape:
                raise UserError(
                    f"{self.path}: {prefix}{name} has shape {list(wanted[name].shape)}, "
                    f"but the config needs {list(tensor.shape)}: give a checkpoint of the same architecture"
                )
        module.load_state_dict(wanted)

    def head_types(self) -> dict[str, str]:
        """Return the type of each term's head, by term. Heads without a type (`Objective.head_type`) are left out.

        The types in the metadata come first, because a trained head may have no weights of its own.
        """
        if isinstance(types := self.metadata.get("heads"), dict):
            return types
        terms = self.metadata.get("terms")  # None in checkpoints of still older versions
        trained = dict.fromkeys(terms if isinstance(terms, list) else [])
        trained |= dict.fromkeys(found[1] for name in self.tensors if (found := _HEAD.match(name)))
        return {term: _HEAD_TYPES[term] for term in trained if term in _HEAD_TYPES}

    def masked_lm_term(self) -> str | None:
        """Return the name of the first term with a masked language model head; None if there is none."""
        return next((term for term, kind in self.head_types().items() if kind == HEAD_TYPES[MaskedLMHead]), None)

    def masked_lm_head(self) -> MaskedLMHead | None:
        """Return the head that predicts masked tokens, with its weights; None if these weights have no such head."""
        if (term := self.masked_lm_term()) is None:
            return None
        head = MaskedLMHead(self.config)
        self.fill(head, f"objective.terms.{term}.head.")
        return head


def load_pretrained(location: str) -> PretrainedWeights:
    """Load the pretrained weights at `location`.

    Only tensors and plain data are read. A checkpoint that would execute code is refused.

    Args:
        location: a run's folder, a `.ckpt` file, a folder with `config.json` or `bert_config.json`,
            `pkg:package/folder` or `hub:owner/name`.

    Raises:
        UserError: if there is no encoder at this location, or a file is damaged.
    """
    path = locate(location)
    try:
        return _load(path, location)
    except OSError as error:
        raise UserError(unreadable_message(path, error)) from None


def _load(path: Path, location: str) -> PretrainedWeights:
    if config_file(path) is not None:
        return _load_hugging_face(path)
    run = RunFolder(path)
    if run.config.exists():
        best, last = run.checkpoints / "best.ckpt", run.checkpoints / "last.ckpt"
        return _load_checkpoint(best if best.exists() else last, run.tokenizer)
    if path.suffix == ".ckpt" and path.is_file():
        return _load_checkpoint(path, RunFolder(path.parent.parent).tokenizer)
    raise UserError(
        f"there is no encoder at {location}: "
        "give a run's folder, a .ckpt file, a folder with config.json, or hub:owner/name"
    )


def _load_hugging_face(folder: Path) -> PretrainedWeights:
    try:
        model = load_hugging_face(folder)
    except ValueError as error:
        raise UserError(str(error)) from None
    renamed = {
        name.replace(theirs, ours, 1): tensor
        for name, tensor in model.tensors.items()
        for theirs, ours in (_HUGGING_FACE_PREFIXES | _OF_FAMILY.get(model.model_type, {})).items()
        if name.startswith(theirs)
    }
    for sentence in model.left_out:
        note(f"{folder}: {sentence}")
    config = model.config
    tokenizer = load_tokenizer(folder)
    if vocabulary_size(tokenizer) > config.vocab_size:
        raise UserError(
            f"{folder}: the tokenizer has {vocabulary_size(tokenizer)} ids, but the model has only "
            f"{config.vocab_size}: give the tokenizer that the model was trained with"
        )
    check_finite_weights(folder, renamed)
    loaded = f"{model.model_type} of {config.num_hidden_layers} layers, {_heads_in_words(model.tensors)}, from "
    loaded += f"{model.file.name} in {str(model.dtype).removeprefix('torch.')}"
    if unused := config.vocab_size - vocabulary_size(tokenizer):
        loaded += f"; {unused} of its {config.vocab_size} word vectors have no token"
    return PretrainedWeights(folder, config, tokenizer, renamed, loaded=loaded)


def _heads_in_words(tensors: Collection[str]) -> str:
    """Return a phrase for the heads whose tensors were read, under the names of `model/hugging_face/conversion.py`."""
    parts = {name.partition(".")[0] for name in tensors}
    parts.discard("bert")  # the encoder
    if "next_sentence.classifier.weight" not in tensors and "next_sentence" in parts:
        parts = parts - {"next_sentence"} | {"pooler"}
    return f"with {', '.join(sorted(parts))}" if parts else "without a head"


def _load_checkpoint(path: Path, tokenizer_path: Path) -> PretrainedWeights:
    checkpoint = read_checkpoint(path)
    metadata, tensors = checkpoint[METADATA_KEY], checkpoint["state_dict"]
    check_finite_weights(path, tensors)
    tokenizer = load_tokenizer(tokenizer_path)
    if fingerprint(tokenizer) != metadata["tokenizer_fingerprint"]:
        raise UserError(
            f"{tokenizer_path} is not the tokenizer that {path.name} was trained with: restore the run's tokenizer.json"
        )
    step = checkpoint.get("global_step")
    known = step if isinstance(step, int) else None
    return PretrainedWeights(path, BertConfig(**metadata["config"]), tokenizer, tensors, metadata, known)
