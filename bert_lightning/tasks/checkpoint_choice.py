"""Find the checkpoints that `evaluate` measures: of one run, of several, or all of those in a run."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bert_lightning.callbacks.checkpoint_names import LAST, saved_steps
from bert_lightning.errors import UserError
from bert_lightning.model.hugging_face.weight_files import config_file
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.run_records import find_runs

ALL, BEST = "all", "best"


def asks_for_several(run: Any, checkpoints: str | None) -> bool:
    """Return whether the keys `run` and `checkpoints` ask for a table: a list, a pattern, or all checkpoints."""
    return not isinstance(run, str) or _is_pattern(run) or checkpoints == ALL


def checkpoint_locations(run: Any, checkpoints: str | None) -> list[str]:
    """Return the locations that `run` and `checkpoints` name, each once, in order.

    Args:
        run: a location as `load_pretrained` takes it, a pattern of run folders and `.ckpt` files, or a list of these.
        checkpoints: the checkpoints of a run's folder: `all`, `best` or `last`; None: those that `load_pretrained`
            chooses. A location that is no run's folder stands for itself.

    Raises:
        UserError: if a value is no location, or a pattern matches no run.
    """
    given = list(run) if isinstance(run, Sequence) and not isinstance(run, str) else [run]
    if not given or not all(isinstance(each, str) and each for each in given):
        raise UserError(f"run={run} must be a run's folder, a .ckpt file, a pattern such as 'runs/pre-*', or a list")
    found = [place for each in given for place in (_matches(each) if _is_pattern(each) else [each])]
    return list(dict.fromkeys(location for place in found for location in _checkpoints_of(place, checkpoints)))


def _is_pattern(location: str) -> bool:
    return glob.has_magic(location) and not Path(location).expanduser().exists()


def _matches(pattern: str) -> list[str]:
    """Return the runs and `.ckpt` files that a pattern matches. A folder of runs stands for the runs in it."""
    found: list[str] = []
    for path in sorted(map(Path, glob.glob(str(Path(pattern).expanduser()), recursive=True))):
        if path.is_dir() and config_file(path) is None:
            found += map(str, find_runs(path))
        elif path.is_dir() or path.suffix == ".ckpt":
            found.append(str(path))
    if not found:
        raise UserError(f"run={pattern} matches no run's folder and no .ckpt file: bert-lightning runs lists the runs")
    return found


def _checkpoints_of(location: str, checkpoints: str | None) -> list[str]:
    run = RunFolder(Path(location).expanduser())
    if checkpoints is None or not run.checkpoints.is_dir():
        return [location]
    best, last = run.checkpoints / "best.ckpt", run.checkpoints / LAST
    if checkpoints != ALL:
        return [str(best if checkpoints == BEST else last)]
    steps = saved_steps(run.checkpoints)[::-1]
    return [str(path) for path in (*steps, *([best] if best.exists() else []))] or [str(last)]
