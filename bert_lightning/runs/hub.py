"""Published weights of the Hugging Face hub, as a folder on this machine."""

from __future__ import annotations

from pathlib import Path

from bert_lightning.errors import UserError
from bert_lightning.text.hub import hub_answers

HUB_PREFIX = "hub:"
# Weights as tensors, and every form in which a tokenizer is kept; no weights of other libraries, no code.
_FILES = ["config.json", "model.safetensors", "tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "spiece.model"]


def hub_folder(location: str) -> Path:
    """The files of `hub:owner/name`, or of a commit or tag of it by `hub:owner/name@revision`.

    They are fetched once into the hub's own cache; without a network what is there is used.

    Raises:
        UserError: no such model, or neither a network nor a copy.
    """
    from huggingface_hub import snapshot_download

    name, _, revision = location.removeprefix(HUB_PREFIX).partition("@")
    offline = not hub_answers()
    try:
        folder = snapshot_download(name, revision=revision or None, allow_patterns=_FILES, local_files_only=offline)
    except Exception as error:  # the library raises many kinds: no such name, no network, no permission
        reason = "no network, and no copy on this machine" if offline else " ".join(str(error).split())[:200]
        raise UserError(
            f"{location} cannot be had ({reason}): check the name, or give a folder with its config.json, "
            "model.safetensors and tokenizer.json"
        ) from None
    return Path(folder)
