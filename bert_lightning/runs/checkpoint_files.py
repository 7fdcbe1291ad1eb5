"""Checkpoint files that are whole or absent, and how the newest whole one is found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from bert_lightning.callbacks.checkpoints import saved_steps
from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.runs.checkpoint_reading import RUN_KEY, damage
from bert_lightning.runs.environment import note
from bert_lightning.runs.reading import unreadable
from bert_lightning.runs.writing import replacing


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the place, forces to disk, renames: a name stands for a whole file, whenever the power fails.

    Nothing is raised where a file cannot be written, since the other ranks wait for this one: the file is then absent,
    and a note says why. Files are zip archives with a CRC-32 of each tensor, made by torch and checked by `damage`.

    Args:
        run: what identifies the run; every file keeps it.
    """

    def __init__(self, run: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.run = run

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        target = Path(path)
        try:
            with replacing(target, binary=True) as file:
                torch.save(checkpoint if self.run is None else {**checkpoint, RUN_KEY: self.run}, file)
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


def newest_whole(folder: Path) -> Path | None:
    """The newest checkpoint in `folder` that is whole. Damaged ones are named on standard error, and passed over.

    None where no checkpoint was written yet.

    Raises:
        UserError: there are checkpoints, and all are damaged, or one may not be read.
    """
    saved = saved_steps(folder)
    for path in saved:
        try:
            if (problem := damage(path)) is None:
                return path
        except OSError as error:
            raise UserError(unreadable(path, error)) from None
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


def check_same_tensors(path: Path, theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> None:
    """Raise UserError where the checkpoint at `path` holds other tensors than the model has."""
    for name in dict.fromkeys([*ours, *theirs]):
        if name not in theirs or name not in ours:
            there = "lacks" if name not in theirs else "holds"
            raise UserError(f"{path} {there} {name}, unlike this run's model: restore the run's own checkpoint")
        if theirs[name].shape != ours[name].shape:
            raise UserError(
                f"{path} holds {name} of shape {list(theirs[name].shape)}, and this run's model has "
                f"{list(ours[name].shape)}: restore the run's own checkpoint"
            )
