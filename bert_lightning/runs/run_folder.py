"""The folder of a run: its files, its name, its lock, and how the newest run is found.

config.yaml          the resolved config that the run was started from
tokenizer.json       the tokenizer of the model
checkpoints/         step-N.ckpt, the state after N updates; last.ckpt, a link to the newest; best.ckpt, weights only
metrics.csv          every logged value (tensorboard/ beside it holds the same)
predictions/         predictions of single examples, see `predictions_file.py`
summary.json         written last: final metrics, versions, seed, commit, wall time
failed.json          the error that ended the run; removed when the run resumes
pruned.json          when and why a search ended the run early; removed when the run resumes
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_lightning.errors import ExpectedError, Pruned, UserError
from bert_lightning.runs.atomic_writes import replace_atomically
from bert_lightning.runs.run_files import read_json
from bert_lightning.runtime.environment import note
from bert_lightning.runtime.file_lock import is_locked_by_another

_own_locks: set[tuple[int, int]] = set()  # device and inode of the lock files that this process holds


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run: the paths of its files, and a lock against other processes."""

    path: Path

    @classmethod
    def named(cls, runs: str, name: str, job: str | None = None) -> RunFolder:
        """Return the folder `runs`/`name`/`job` of a new run. `job` is None outside a sweep.

        Raises:
            UserError: if a part is not printable or not a plain folder name, or if the folder lies inside another run.
        """
        if not runs or not runs.isprintable():
            raise UserError(f"runs={runs!r} must be the path of a folder, in printable characters")
        for key, value in (("name", name), ("job", job)):
            if value is not None:
                _check_name(key, value)
        folder = cls(Path(runs, name, job or "").expanduser())
        for parent in folder.path.absolute().parents:
            if cls(parent).config.exists() and cls(parent).checkpoints.is_dir():
                raise UserError(
                    f"name={name}: {folder.path} is inside the folder of the run {parent}: choose another name=..."
                )
        return folder

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def tokenizer(self) -> Path:
        return self.path / "tokenizer.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def failure(self) -> Path:
        return self.path / "failed.json"

    @property
    def pruned(self) -> Path:
        return self.path / "pruned.json"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    def check_free(self) -> None:
        """Raise UserError if the folder holds a run already, or the path is not a folder."""
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file: choose another name=..., or delete it")
        if self.config.exists():
            raise UserError(f"{self.path} already holds a run: choose another name=..., or delete the folder")
        # A process killed before it wrote the config leaves only a tokenizer and an empty folder of checkpoints.
        foreign = [self.path / name for name in ("config.json", "metrics.csv", "summary.json")]
        if found := [path for path in (*foreign, *self.checkpoints.glob("step-*.ckpt")) if path.exists()]:
            raise UserError(f"{found[0]} exists, but {self.path} is not a run's folder: choose another name=...")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder against other processes inside the `with` block. One process per machine takes the lock.

        A folder that does not exist is created. If it is still empty at the end, it is removed.

        Raises:
            UserError: if another process holds the lock, or the folder cannot be locked.
        """
        lock = self._locked()
        own = _identity(os.fstat(lock))
        _own_locks.add(own)
        try:
            yield
        finally:
            self.lock.unlink(missing_ok=True)
            os.close(lock)
            _own_locks.discard(own)
            with suppress(OSError):
                self.path.rmdir()

    def is_held(self) -> bool:
        """Return whether a process, such as this one, holds the lock."""
        return self._is_held_here() or self.is_held_by_another()

    def is_held_by_another(self) -> bool:
        """Return whether another process holds the lock. The lock is only looked at, and not taken for a moment."""
        # To open and close the file in the process that holds the lock would release it.
        return not self._is_held_here() and is_locked_by_another(self.lock)

    def _is_held_here(self) -> bool:
        try:
            return _identity(os.stat(self.lock, follow_symlinks=False)) in _own_locks
        except OSError:
            return False

    def record_failure(self, error: BaseException) -> None:
        """Write the error that ended the run to `failed.json` or `pruned.json`. A disk that is full leaves no file."""
        text = str(error) if isinstance(error, ExpectedError) else f"{type(error).__name__}: {error}"
        record = {"error": " ".join(text.split())[:_LONGEST_ERROR], "time": time.time()}
        if isinstance(error, Pruned):
            record |= {"step": error.step, "metric": error.metric, "value": error.value}
        with suppress(OSError), replace_atomically(self.pruned if isinstance(error, Pruned) else self.failure) as file:
            file.write(json.dumps(record) + "\n")

    def _locked(self) -> int:
        """Lock the folder and return the descriptor of the open lock file. Forked workers do not inherit the lock."""
        while True:
            for place in (self.path, *self.path.parents):
                if place.is_symlink() and not place.exists():
                    raise UserError(f"{place} is a link to a file that does not exist: delete it, or create its target")
            with suppress(FileExistsError):
                self.path.mkdir(parents=True)
            try:
                lock = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:  # the previous process has just removed the empty folder
                continue
            except OSError as error:
                raise UserError(f"{self.lock} cannot be opened ({error.strerror}): delete this file") from None
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(lock)
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    raise UserError(
                        f"{self.path} is being trained by another process: wait for it, or end it"
                    ) from None
                raise UserError(
                    f"{self.lock} cannot be locked ({error.strerror}): choose another file system with runs=<folder>"
                ) from None
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock), os.stat(self.lock)):
                    return lock
            os.close(lock)  # the previous process deleted this file after we opened it, so try again

    def read_summary(self) -> dict[str, Any]:
        """Return the run's summary, which a run writes when it ends.

        Raises:
            UserError: if the file is missing or damaged, or lacks a key that every summary has.
        """
        summary = read_json(self.summary)
        if problem := _problem(summary):
            raise UserError(
                f"{self.summary} is damaged ({problem}): delete it; then bert-lightning resume {self.path} "
                "writes it again from the newest checkpoint"
            )
        return summary


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _check_name(key: str, value: str) -> None:
    """Raise UserError unless the value of this config key is the relative path of a folder, such as `a` or `a/b`."""
    parts = value.split("/")
    if not value.isprintable() or any(part in ("", ".", "..") or part != part.strip() for part in parts):
        raise UserError(f"{key}={value!r} must name a folder: printable characters, no . or .. and no / at its ends")
    if long := next((part for part in parts if len(part.encode()) > _LONGEST_NAME), None):
        raise UserError(f"{key}={long[:20]}... has {len(long.encode())} bytes: use {_LONGEST_NAME} at most")


_LONGEST_ERROR = 500  # most characters of the error in `failed.json`
_LONGEST_NAME = 255  # most bytes of a file's name in the usual file systems

_NUMBER = (int, float)
# Types of the values that the verbs read from a summary, by dotted key.
_SUMMARY: dict[str, tuple[type, ...]] = {
    "verb": (str,),
    "steps": (int,),
    "wall_seconds": _NUMBER,
    "metrics": (dict,),
    "budget": (dict,),
    "budget.unit": (str,),
    "budget.total": _NUMBER,
    "budget.spent": _NUMBER,
    "budget.share": _NUMBER,
    "best": (dict, type(None)),
}


def _problem(summary: dict[str, Any]) -> str | None:
    """Return what is wrong with a summary, or None if it has all keys with values of the right types."""
    values = dict(summary)
    for key, kinds in _SUMMARY.items():
        group, _, name = key.rpartition(".")
        value = values[group].get(name) if group else values.get(name)
        if not isinstance(value, kinds):
            return f"{key} is {value!r:.40}"
    best = values["best"] or {"metric": "", "value": None}
    if not isinstance(best.get("metric"), str) or not isinstance(best.get("value"), (*_NUMBER, type(None))):
        return f"best is {best!r:.40}"
    words = (f"metrics.{name} is {v!r:.40}" for name, v in values["metrics"].items() if not isinstance(v, _NUMBER))
    return next(words, None)


def newest_finished_run(root: Path, verbs: tuple[str, ...]) -> Path:
    """Return the run of one of these verbs that finished last. A note names each damaged summary that is skipped.

    Args:
        root: the folder that is searched, with all folders in it.
        verbs: only runs of these verbs count, such as `pretrain`.

    Raises:
        UserError: if there is no finished run of these verbs.
    """
    finished = sorted(root.rglob("summary.json"), key=lambda summary: summary.stat().st_mtime, reverse=True)
    for path in finished:
        try:
            summary = RunFolder(path.parent).read_summary()
        except UserError as error:
            note(f"{error}. Trying the run before it")
            continue
        if summary["verb"] in verbs:
            return path.parent
    raise UserError(
        f"there is no finished {' or '.join(verbs)} run under {root}/: start one with bert-lightning {verbs[0]}"
    )
