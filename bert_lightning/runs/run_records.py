"""Read many run folders quickly: what each run is, how it ended, and what is wrong with its files.

Nothing here raises an error for a damaged folder. It gives a record with a note instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bert_lightning.errors import UserError
from bert_lightning.renames import GROUPS, OPTIONS, new_metric, translated
from bert_lightning.runs.run_files import read_json, read_plain_yaml
from bert_lightning.runs.run_folder import RunFolder

ENDED, RUNNING, INTERRUPTED, FAILED, PRUNED = STATES = ("ended", "running", "interrupted", "failed", "pruned")


@dataclass(frozen=True)
class RunRecord:
    """One run, as its folder describes it.

    `state` is `ended` with a whole summary, `running` while a process holds the lock of the folder, `failed` if an
    error ended it, `pruned` if a search ended it early, else `interrupted`. `config` and `summary` have today's names
    of keys and metrics; they are empty if the file is missing or damaged, which `note` then says. For a failed run,
    `note` is the error.
    """

    path: Path
    state: str
    verb: str | None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    modified: float = 0.0  # seconds since 1970 of the last change of a file in the folder
    size: int = 0  # bytes of all files

    def settings(self) -> dict[str, Any]:
        """Return the config by dotted key. The record of the command line (`origin`) is left out."""
        return dict(flatten({key: value for key, value in self.config.items() if key != "origin"}))

    def choices(self) -> dict[str, Any]:
        """Return the option of each config group that the run was composed from, such as `variant`."""
        origin = self.config.get("origin")
        choices = origin.get("choices") if isinstance(origin, dict) else None
        if not isinstance(choices, dict):
            return {}
        named = [(GROUPS.get(str(group), str(group)), option) for group, option in choices.items()]
        return {group: OPTIONS.get(group, {}).get(str(option), option) for group, option in named}


def find_runs(root: Path) -> list[Path]:
    """Return the folders of all runs at or below a folder, sorted by path. Hidden folders are not searched.

    Raises:
        UserError: if the folder cannot be read.
    """
    try:
        return sorted(_run_folders(root))
    except OSError as error:
        raise UserError(f"{root} cannot be searched for runs ({error.strerror}): give a folder that exists") from None


def read_runs(paths: Iterable[Path]) -> list[RunRecord]:
    """Return the record of each run folder, in the order of `paths`."""
    return [read_run(path) for path in paths]


def read_run(path: Path) -> RunRecord:
    """Return the record of one run folder. A folder without a readable config gives a record with a note."""
    folder, notes = RunFolder(path), []
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    state = RUNNING if folder.is_held() else INTERRUPTED
    try:
        config = translated(read_plain_yaml(folder.config))
    except UserError as error:
        notes.append(str(error))
    try:
        if folder.summary.exists():
            summary = _with_todays_names(folder.read_summary())
            state = ENDED
        elif state != RUNNING and folder.failure.exists():
            state = FAILED
            notes.append(str(read_json(folder.failure).get("error", "")))
        elif state != RUNNING and folder.pruned.exists():
            state = PRUNED
            notes.append(f"after step {read_json(folder.pruned).get('step')}")
    except (UserError, OSError) as error:
        notes.append(str(error))
    verb = config.get("verb", summary.get("verb"))
    size, modified = _size_and_time(path)
    return RunRecord(
        path, state, verb if isinstance(verb, str) else None, config, summary, "; ".join(notes), modified, size
    )


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the value of each leaf of nested mappings. An empty mapping is a leaf."""
    if not isinstance(value, dict) or not value:
        yield path, value
        return
    for key, child in value.items():
        yield from flatten(child, f"{path}.{key}".lstrip("."))


def _with_todays_names(summary: dict[str, Any]) -> dict[str, Any]:
    """Return a summary with today's names of its metrics."""
    renamed = {**summary, "metrics": {new_metric(name): value for name, value in summary["metrics"].items()}}
    if best := summary["best"]:
        renamed["best"] = {**best, "metric": new_metric(best["metric"])}
    return renamed


def _run_folders(root: Path) -> Iterator[Path]:
    """Yield the run folders at or below a folder. A run's own folder is not searched further."""
    with os.scandir(root) as entries:
        found = {entry.name: entry for entry in entries}
    if _is_run(found.keys()):
        yield root
        return
    for name, entry in found.items():
        if not name.startswith(".") and entry.is_dir(follow_symlinks=False):
            try:
                yield from _run_folders(root / name)
            except PermissionError:
                continue


def _is_run(names: Iterable[str]) -> bool:
    """Return whether a folder with these entries is a run's: two of its files lie in it. One may have been lost."""
    return len({"config.yaml", "summary.json", "tokenizer.json", "checkpoints"} & {*names}) >= 2


def _size_and_time(path: Path) -> tuple[int, float]:
    """Return the bytes of all files below a folder, and the time of the last change. Links are not followed."""
    size, newest = 0, 0.0
    for place, _, names in os.walk(path):
        for name in names:
            try:
                status = os.lstat(os.path.join(place, name))
            except OSError:  # a running run has just deleted it
                continue
            size, newest = size + status.st_size, max(newest, status.st_mtime)
    return size, newest
