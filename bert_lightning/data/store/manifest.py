"""The manifest of a prepared folder: its settings, its sources, its content, and the hashes that verify it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from bert_lightning.data.store.token_store import ALWAYS_HASHED_BYTES, file_sha256, write_atomically
from bert_lightning.errors import UserError

MANIFEST = "manifest.json"


def json_sha256(values: object) -> str:
    """Return the SHA-256 hash of plain data as JSON, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def write_manifest(folder: Path, values: dict[str, Any]) -> None:
    """Write the manifest of a complete folder: the given values, a hash of every file, and a hash of the manifest."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    listed = {str(f.relative_to(folder)): {"bytes": f.stat().st_size, "sha256": file_sha256(f)} for f in files}
    values = {**values, "files": listed}
    write_atomically(folder / MANIFEST, json.dumps({**values, "sha256": json_sha256(values)}, indent=1) + "\n")


def read_manifest(folder: Path, thorough: bool) -> dict[str, Any]:
    """Check the files that the manifest of a folder names, and return the manifest.

    Args:
        folder: folder with the manifest.
        thorough: whether to hash every file. Otherwise files above 256 MiB are checked by their size only.

    Raises:
        UserError: if the manifest is damaged, or a file is missing or has changed.
    """
    fix = "delete the folder and run prepare again"
    try:
        values = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        expected = values.pop("sha256")
        files = {str(name): (int(file["bytes"]), str(file["sha256"])) for name, file in values["files"].items()}
    except PermissionError as error:
        raise UserError(f"{folder / MANIFEST}: {error.strerror}: allow this user to read it") from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(
            f"{folder} is not a prepared corpus ({MANIFEST}: {type(error).__name__}: {error}): {fix}"
        ) from None
    if (found := json_sha256(values)) != expected:
        raise UserError(f"{folder / MANIFEST} is damaged: its sha256 is {found}, expected {expected}; {fix}")
    for name, (size, content) in files.items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path} is missing: expected {size} bytes, sha256 {content}; {fix}")
        if (actual := path.stat().st_size) != size:
            raise UserError(f"{path} is damaged: it has {actual} bytes, expected {size}, sha256 {content}; {fix}")
        if (thorough or size <= ALWAYS_HASHED_BYTES) and (found := file_sha256(path)) != content:
            raise UserError(f"{path} is damaged: its sha256 is {found}, expected {content}; {fix}")
    if missing := [key for key in ("tokenizer_fingerprint", "settings", "splits") if key not in values]:
        raise UserError(f"{folder / MANIFEST} lacks {', '.join(missing)}: {fix}")
    return {**values, "sha256": expected}


def settings_differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return the reasons why a store with settings `old` cannot be used for settings `new`, one line each."""
    lines = [
        f"{name} was {old.get(name)}, is {value}"
        for name, value in new.items()
        if name != "sources" and old.get(name) != value
    ]
    before = {name: state for name, *state in old.get("sources", [])}
    now = {name: state for name, *state in new["sources"]}
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            what = "was not read before" if name not in before else "has changed since"
            lines.append(f"{name} {what if name in now else 'is not read any more'}")
    return lines
