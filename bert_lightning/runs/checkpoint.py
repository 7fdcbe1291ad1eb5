"""Encoders from where they are kept: a run, a checkpoint file, a Hugging Face folder, an installed package."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.interop import load_hugging_face
from bert_lightning.modules.base import CARD_KEY
from bert_lightning.runs.folder import RunFolder
from bert_lightning.text.files import PACKAGE_PREFIX, package_path
from bert_lightning.text.tokenizers import fingerprint, load_tokenizer

# Hugging Face layout -> our checkpoint's keys (`model/interop.py` uses the names of BertForPreTraining).
_KEYS = {
    "bert.": "encoder.",
    "masked_lm.": "objective.terms.mlm.head.",
    "next_sentence.": "objective.terms.nsp.head.",
}


@dataclass(frozen=True)
class Loaded:
    """Weights on the CPU, under the names of our checkpoints, and what is needed to use them."""

    path: Path
    config: BertConfig
    tokenizer: Tokenizer
    tensors: dict[str, Tensor]
    card: dict[str, Any] = field(default_factory=dict)

    def encoder(self) -> BERT:
        """The encoder with these weights."""
        bert = BERT(self.config)
        self.fill(bert, "encoder.")
        return bert

    def fill(self, module: nn.Module, prefix: str) -> None:
        """Give `module` the weights below `prefix`.

        Raises:
            UserError: some are missing.
        """
        wanted = {name: self.tensors.get(prefix + name) for name in module.state_dict()}
        if missing := [name for name, tensor in wanted.items() if tensor is None]:
            raise UserError(f"{self.path} holds no weights for {prefix}{missing[0]} ({len(missing)} are missing)")
        module.load_state_dict(wanted)

    def has(self, prefix: str) -> bool:
        return any(name.startswith(prefix) for name in self.tensors)


def load(location: str) -> Loaded:
    """The weights at `location`: a run's folder, a `.ckpt`, a folder with `config.json`, or `pkg:package/folder`.

    Only tensors and plain data are read; a checkpoint that wants to execute code is refused.

    Raises:
        UserError: nothing there, something else, or a damaged file.
    """
    path = package_path(location) if location.startswith(PACKAGE_PREFIX) else Path(location).expanduser()
    if (path / "config.json").exists():
        return _load_hugging_face(path)
    run = RunFolder(path)
    if run.config.exists():
        best, last = run.checkpoints / "best.ckpt", run.checkpoints / "last.ckpt"
        return _load_checkpoint(best if best.exists() else last, run.tokenizer)
    if path.suffix == ".ckpt" and path.exists():
        return _load_checkpoint(path, RunFolder(path.parent.parent).tokenizer)
    raise UserError(f"no encoder at {location}: give a run's folder, a .ckpt, or a folder with config.json")


def _load_hugging_face(folder: Path) -> Loaded:
    try:
        config, tensors = load_hugging_face(folder)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{folder} cannot be loaded: {error}") from None
    renamed = {
        name.replace(theirs, ours, 1): tensor
        for name, tensor in tensors.items()
        for theirs, ours in _KEYS.items()
        if name.startswith(theirs)
    }
    return Loaded(folder, config, load_tokenizer(folder), renamed)


def _load_checkpoint(path: Path, tokenizer_path: Path) -> Loaded:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        card, tensors = checkpoint[CARD_KEY], checkpoint["state_dict"]
        config = BertConfig(**card["config"])
    except FileNotFoundError:
        raise UserError(f"no checkpoint at {path}: did the run reach its first one?") from None
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).strip().partition("\n")[0][:120]
        size = path.stat().st_size
        raise UserError(
            f"{path} ({size} bytes) is damaged or not a checkpoint of this program ({type(error).__name__}: {reason}): "
            "use another checkpoint of the run"
        ) from None
    tokenizer = load_tokenizer(tokenizer_path)
    if fingerprint(tokenizer) != card["tokenizer_fingerprint"]:
        raise UserError(f"{tokenizer_path} is not the tokenizer of {path.name}: restore the run's own")
    return Loaded(path, config, tokenizer, tensors, card)
