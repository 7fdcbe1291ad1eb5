"""Turn the location of an encoder or a tokenizer into a local path: one syntax for every config key."""

from __future__ import annotations

import re
from pathlib import Path

from bert_lightning.errors import UserError
from bert_lightning.text.files.paths import PACKAGE_PREFIX, package_path
from bert_lightning.text.hub import hub_answers

HUB_PREFIX = "hub:"
# Files to download: PyTorch weights and all tokenizer files, but no weights of other frameworks and no code.
_FILES = [
    "config.json", "model.safetensors", "model.safetensors.index.json", "model-*.safetensors", "pytorch_model.bin",
    "pytorch_model.bin.index.json", "pytorch_model-*.bin", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "spiece.model",
]  # fmt: skip
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?(@[\w./-]+)?", re.ASCII)


def locate(location: str) -> Path:
    """Return the file or folder that a location names: a path, `pkg:package/folder`, or `hub:owner/name`.

    The function does not check that a plain path exists; the code that reads the path does.

    Raises:
        UserError: if there is no such package or model, the name is malformed, or access is denied.
    """
    if location.startswith(PACKAGE_PREFIX):
        return package_path(location)
    if location.startswith(HUB_PREFIX):
        return hub_folder(location)
    try:
        path = Path(location).expanduser()
        path.exists()
        return path
    except OSError as error:  # the name is impossible, or permission is denied
        raise UserError(
            f"{location[:80]!r} cannot be read ({error.strerror}): check the path and its permissions"
        ) from None
    except RuntimeError:
        raise UserError(f"{location!r}: the home folder of ~ is not known: give the whole path") from None


def hub_folder(location: str) -> Path:
    """Return the local folder of the model `hub:owner/name`, or of its commit or tag `hub:owner/name@revision`.

    The files are downloaded once, into the cache of the hub's library. Without a network, the cached files are used.

    Raises:
        UserError: if the name is malformed, there is no such model, or there is neither a network nor a cached copy.
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
    except Exception as error:  # the library raises many types: no such name, no network, no permission
        reason = "no network, and no copy on this machine" if offline else " ".join(str(error).split())[:200]
        raise UserError(
            f"{location} cannot be had ({reason}): check the name, or give a folder with its config.json, "
            "model.safetensors and tokenizer.json"
        ) from None
    return Path(folder)


def _files_of(name: str, revision: str | None) -> list[str]:
    """Return the names of the files to download. If a model has weights in both formats, take safetensors only."""
    from huggingface_hub import list_repo_files

    try:
        there = set(list_repo_files(name, revision=revision))
    except Exception:  # the download will report the error, or find a cached copy
        return _FILES
    both = not there.isdisjoint({"model.safetensors", "model.safetensors.index.json"})
    return [file for file in _FILES if not (both and file.startswith("pytorch_model"))]
