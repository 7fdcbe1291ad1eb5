"""Checkpoint files that are whole or absent, and how the newest whole one is found."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from bert_lightning.callbacks.checkpoints import step_of
from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.modules.base import CARD_KEY
from bert_lightning.runs.environment import note
from bert_lightning.runs.writing import replacing


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the place, forces to disk, renames: a name stands for a whole file, whenever the power fails.

    Nothing is raised where a file cannot be written, since the other ranks wait for this one: the file is then absent,
    and a note says why. Files are zip archives with a CRC-32 of each tensor, made by torch and checked by `damage`.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        target = Path(path)
        try:
            with replacing(target, binary=True) as file:
                torch.save(checkpoint, file)
            folder = os.open(target.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        except (OSError, RuntimeError) as error:  # torch says RuntimeError where the disk is full
            reason = getattr(error, "strerror", None) or str(error)[:120]
            note(f"{target} could not be written ({reason}); training goes on")

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Tensors and plain data only, whatever the caller says: a checkpoint never executes code."""
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return checkpoint


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint file; None for a whole one. Reads all of it."""
    try:
        with zipfile.ZipFile(path) as archive:
            if broken := archive.testzip():
                return f"its part {broken} has changed since it was written"
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
        return f"{path.stat().st_size} bytes, {error}" if path.exists() else "it is missing"
    try:
        checkpoint = torch.load(path, map_location="meta", weights_only=True, mmap=True)
    except Exception as error:  # torch raises many kinds
        return " ".join(str(error).split())[:160]
    return None if CARD_KEY in checkpoint and "loops" in checkpoint else "it is no checkpoint of a run of this program"


def newest_whole(folder: Path) -> Path | None:
    """The newest checkpoint in `folder` that is whole. Damaged ones are named on standard error, and passed over.

    None where no checkpoint was written yet.

    Raises:
        UserError: there are checkpoints, and all are damaged.
    """
    saved = sorted(folder.glob("step-*.ckpt"), key=step_of, reverse=True)
    for path in saved:
        if (problem := damage(path)) is None:
            return path
        note(f"{path} is damaged ({problem}); trying the one before")
    if saved:
        raise UserError(f"{folder}: every checkpoint is damaged; delete the run's folder and start it again")
    return None


def check_same_model(path: Path, card: dict[str, Any], mine: dict[str, Any]) -> None:
    """Whether the checkpoint at `path` is one of this model and tokenizer.

    Raises:
        UserError: it is not; the message says in what they differ.
    """
    if card["tokenizer_fingerprint"] != mine["tokenizer_fingerprint"]:
        raise UserError(
            f"{path} was made with another tokenizer (fingerprint {card['tokenizer_fingerprint'][:12]}, the run's is "
            f"{mine['tokenizer_fingerprint'][:12]}): restore the tokenizer, or the checkpoint, of this run"
        )
    theirs, ours = BertConfig().to_dict() | card["config"], mine["config"]  # an older one lacks newer fields
    differing = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
    if differing:
        pairs = ", ".join(f"{key} {theirs.get(key)} there and {ours.get(key)} here" for key in differing)
        raise UserError(f"{path} is of another model: {pairs}")
