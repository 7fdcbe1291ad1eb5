"""A run is a folder: what it holds, how it is named, and how the newest is found.

config.yaml          the resolved config that the run was started from
tokenizer.json       what turns text into the ids this model reads
checkpoints/         step-N.ckpt, the state after N updates; last.ckpt, a link to the newest; best.ckpt, weights only
metrics.csv          every logged value (tensorboard/ beside it holds the same)
summary.json         written last: final metrics, versions, seed, commit, wall time
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_lightning.errors import UserError
from bert_lightning.runs.environment import note
from bert_lightning.runs.reading import read_json


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
        """Return what the run left at its end.

        Raises:
            UserError: if the file is missing, damaged, or lacks what every summary has.
        """
        summary = read_json(self.summary)
        for key, kinds in _SUMMARY.items():
            if not isinstance(summary.get(key), kinds):
                raise UserError(
                    f"{self.summary} is damaged ({key} is {summary.get(key)!r:.40}): delete it, and "
                    f"bert-lightning resume {self.path} writes it again from the newest checkpoint"
                )
        return summary


# What the verbs read of a summary.
_SUMMARY: dict[str, tuple[type, ...]] = {
    "verb": (str,),
    "steps": (int,),
    "wall_seconds": (int, float),
    "metrics": (dict,),
    "budget": (dict,),
    "best": (dict, type(None)),
}


def newest_run(root: Path, verbs: tuple[str, ...]) -> Path:
    """Return the finished run of one of these verbs that ended last. Damaged summaries are named, and passed over.

    Raises:
        UserError: if there is none.
    """
    finished = sorted(root.rglob("summary.json"), key=lambda summary: summary.stat().st_mtime, reverse=True)
    for path in finished:
        try:
            summary = RunFolder(path.parent).read_summary()
        except UserError as error:
            note(f"{error}; trying the run before")
            continue
        if summary["verb"] in verbs:
            return path.parent
    raise UserError(f"no finished run of {' or '.join(verbs)} under {root}/: start one with bert-lightning {verbs[0]}")
