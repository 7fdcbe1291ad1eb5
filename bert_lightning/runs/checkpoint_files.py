"""Write checkpoint files so that none is incomplete, find the newest intact one, and check that it fits the run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from bert_lightning.callbacks.checkpoint_names import saved_steps
from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.runs.atomic_writes import replace_atomically
from bert_lightning.runs.checkpoint_reading import RUN_KEY, find_damage, load_tensors
from bert_lightning.runs.run_files import unreadable_message
from bert_lightning.runtime.environment import note


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's writer of checkpoints, made atomic: a file is complete or absent, even after a power failure.

    It writes a temporary file in the same folder, forces it to disk and renames it. If a file cannot be written, it
    prints a note and raises nothing, since the other ranks wait for this one. Files are zip archives with a CRC-32 of
    each tensor. torch writes these checksums, and `find_damage` checks them.

    Args:
        run: the identity of the run, which every checkpoint stores; None: not stored.
    """

    def __init__(self, run: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.run = run

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        target = Path(path)
        try:
            with replace_atomically(target, binary=True) as file:
                torch.save(checkpoint if self.run is None else {**checkpoint, RUN_KEY: self.run}, file)
            folder = os.open(target.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        except (OSError, RuntimeError) as error:  # torch raises RuntimeError if the disk is full
            reason = getattr(error, "strerror", None) or str(error)[:120]
            note(f"{target} could not be written ({reason}): training continues without this checkpoint")

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Load only tensors and plain data, on the CPU, so that no code is executed. Other arguments are ignored."""
        checkpoint: dict[str, Any] = load_tensors(path, "cpu")
        return checkpoint


def latest_intact_checkpoint(folder: Path) -> Path | None:
    """Return the newest intact checkpoint in `folder`; None if no checkpoint was written yet.

    A note on standard error names each damaged checkpoint that is skipped.

    Raises:
        UserError: if all checkpoints are damaged, or the system refuses to open one.
    """
    saved = saved_steps(folder)
    for path in saved:
        try:
            if (problem := find_damage(path)) is None:
                return path
        except PermissionError as error:
            raise UserError(unreadable_message(path, error)) from None
        except OSError as error:  # a link to nothing, or a disk that fails
            problem = str(error.strerror)
        note(f"{path} is damaged ({problem}): trying the checkpoint before it")
    if saved:
        raise UserError(f"every checkpoint in {folder} is damaged: delete the run's folder and start the run again")
    return None


def check_same_model(path: Path, metadata: dict[str, Any], mine: dict[str, Any]) -> None:
    """Check that a checkpoint was written for this model and this tokenizer.

    Args:
        path: the checkpoint's file, for the message.
        metadata: the checkpoint's metadata.
        mine: the metadata that the run itself would write.

    Raises:
        UserError: if the model or the tokenizer is another one; the message names the differences.
    """
    there, here = (side["tokenizer_fingerprint"][:12] for side in (metadata, mine))
    if metadata["tokenizer_fingerprint"] != mine["tokenizer_fingerprint"]:
        raise UserError(
            f"{path} was made with another tokenizer (fingerprint {there}, the run's is {here}): restore the "
            "tokenizer, or the checkpoint, of this run"
        )
    theirs, ours = BertConfig().to_dict() | metadata["config"], mine["config"]  # older versions lack newer fields
    differing = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
    if differing:
        pairs = ", ".join(f"{key} is {theirs.get(key)} in it and {ours.get(key)} in this run" for key in differing)
        raise UserError(f"{path} holds another model: {pairs}. Restore the run's own checkpoint")


def check_same_tensors(path: Path, theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> None:
    """Check that a checkpoint holds exactly the tensors of the model, with equal shapes.

    Args:
        path: the checkpoint's file, for the message.
        theirs: the checkpoint's tensors by name.
        ours: the model's tensors by name.

    Raises:
        UserError: if a name is missing on either side, or a shape differs.
    """
    for name in dict.fromkeys([*ours, *theirs]):
        if name not in theirs or name not in ours:
            there = "lacks" if name not in theirs else "holds"
            raise UserError(
                f"{path} {there} the tensor {name}, unlike this run's model: restore the run's own checkpoint"
            )
        if theirs[name].shape != ours[name].shape:
            raise UserError(
                f"{path} holds the tensor {name} with shape {list(theirs[name].shape)}, and this run's model has "
                f"{list(ours[name].shape)}: restore the run's own checkpoint"
            )
