"""A run is a folder: what it holds, how it is named, and how the newest is found.

config.yaml          the resolved config that the run was started from
tokenizer.json       what turns text into the ids this model reads
checkpoints/         step-N.ckpt, the state after N updates; last.ckpt, a link to the newest; best.ckpt, weights only
metrics.csv          every logged value (tensorboard/ beside it holds the same)
summary.json         written last: final metrics, versions, seed, commit, wall time
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_lightning.errors import UserError


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run."""

    path: Path

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
    def summary(self) -> Path:
        return self.path / "summary.json"

    def check_free(self) -> None:
        """Raises UserError where a run is there already."""
        if self.config.exists():
            raise UserError(f"{self.path} already holds a run: choose another name=..., or delete the folder")

    def create(self) -> None:
        """Make the folder."""
        self.checkpoints.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training this run, as long as this one lives; one a machine is enough to ask.

        Raises:
            UserError: one does already.
        """
        lock = self.path / ".lock"
        with lock.open("w") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of this process: workers that it leaves hold nothing
            except OSError:
                raise UserError(f"{self.path} is being trained by another process") from None
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)

    def read_summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads(self.summary.read_text(encoding="utf-8"))
        return summary


def _verb(summary: Path) -> str | None:
    """What made a run; None where the file is damaged."""
    try:
        verb: str | None = json.loads(summary.read_text(encoding="utf-8"))["verb"]
    except (ValueError, KeyError, TypeError):
        return None
    return verb


def newest_run(root: Path, verbs: tuple[str, ...]) -> Path:
    """The finished run of one of these verbs that ended last.

    Raises:
        UserError: there is none.
    """
    finished = sorted(root.rglob("summary.json"), key=lambda summary: summary.stat().st_mtime, reverse=True)
    for summary in finished:
        if _verb(summary) in verbs:
            return summary.parent
    raise UserError(f"no finished run of {' or '.join(verbs)} under {root}/: start one with bert-lightning {verbs[0]}")
