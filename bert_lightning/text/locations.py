"""Where an encoder or a tokenizer is kept, as a path on this machine: one form of location for every key."""

from __future__ import annotations

import re
from pathlib import Path

from bert_lightning.errors import UserError
from bert_lightning.text.files import PACKAGE_PREFIX, package_path
from bert_lightning.text.hub import hub_answers

HUB_PREFIX = "hub:"
# Weights as tensors, and every form in which a tokenizer is kept; no weights of other libraries, no code.
_FILES = [
    "config.json", "model.safetensors", "model.safetensors.index.json", "model-*.safetensors", "pytorch_model.bin",
    "pytorch_model.bin.index.json", "pytorch_model-*.bin", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "spiece.model",
]  # fmt: skip
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?(@[\w./-]+)?", re.ASCII)


def locate(location: str) -> Path:
    """Return the file or folder that a location names: a path, `pkg:package/folder`, or `hub:owner/name`.

    Nothing says that a plain path exists; whoever reads it does.

    Raises:
        UserError: if there is no such package or model, or the name is malformed.
    """
    if location.startswith(PACKAGE_PREFIX):
        return package_path(location)
    if location.startswith(HUB_PREFIX):
        return hub_folder(location)
    try:
        path = Path(location).expanduser()
        path.exists()
        return path
    except OSError as error:  # such a name cannot be, or may not be asked for
        raise UserError(f"{location[:80]!r} cannot be read ({error.strerror})") from None
    except RuntimeError:
        raise UserError(f"{location!r}: the home folder of ~ is not known: give the whole path") from None


def hub_folder(location: str) -> Path:
    """Return the files of `hub:owner/name`, or of a commit or tag of it by `hub:owner/name@revision`.

    They are fetched once into the hub's own cache; without a network what is there is used.

    Raises:
        UserError: if the name is malformed, or there is no such model, or neither a network nor a copy.
    """
    named = location.removeprefix(HUB_PREFIX)
    if not _NAME.fullmatch(named) or ".." in named or "--" in named:
        raise UserError(f"{location!r} is no name of the hub: write hub:owner/name, or hub:owner/name@revision")
    from huggingface_hub import snapshot_download

    name, _, revision = named.partition("@")
    offline = not hub_answers()
    try:
        files = _FILES if offline else _files_of(name, revision or None)
        folder = snapshot_download(name, revision=revision or None, allow_patterns=files, local_files_only=offline)
    except Exception as error:  # the library raises many kinds: no such name, no network, no permission
        reason = "no network, and no copy on this machine" if offline else " ".join(str(error).split())[:200]
        raise UserError(
            f"{location} cannot be had ({reason}): check the name, or give a folder with its config.json, "
            "model.safetensors and tokenizer.json"
        ) from None
    return Path(folder)


def _files_of(name: str, revision: str | None) -> list[str]:
    """Return what to fetch of a model. Many are kept in both forms of weights: safetensors are enough then."""
    from huggingface_hub import list_repo_files

    try:
        there = set(list_repo_files(name, revision=revision))
    except Exception:  # whatever is wrong, fetching says it, or finds a copy that is here
        return _FILES
    both = not there.isdisjoint({"model.safetensors", "model.safetensors.index.json"})
    return [file for file in _FILES if not (both and file.startswith("pytorch_model"))]
