"""Keep records beside the runs of a study: the lock of the process that works on a run, its last error, its sources.

`.<name>.study` beside the run's folder has `.lock` while a process works on the run, `failed.json` after an error, and
`made.json` about a run that is done: the seconds that it took, and a digest of the result of each run that it read.
A run may have been made from a pretraining that was deleted and made anew. Its digest then differs.
"""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bert_lightning.errors import ExpectedError, UserError
from bert_lightning.runs.atomic_writes import replace_atomically
from bert_lightning.runs.run_files import read_json
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.studies.planned_runs import PlannedRun

_TRACEBACK = "traceback.txt"
EVALUATION = "evaluation.json"  # file in the folder of an evaluation: its config and its metrics


def claim_of(run: PlannedRun) -> RunFolder:
    """Return the folder whose lock a process holds while it works on a run."""
    return RunFolder(run.folder.with_name(f".{run.folder.name}.study"))


def result_file(run: PlannedRun) -> Path:
    """Return the file that is written last, when a run is done."""
    return run.folder / EVALUATION if run.verb == "evaluate" else RunFolder(run.folder).summary


def is_worked_on(run: PlannedRun) -> bool:
    """Return whether another process works on a run: one of a study, or one that trains it alone."""
    return claim_of(run).is_held_by_another() or RunFolder(run.folder).is_held_by_another()


def digests(run: PlannedRun) -> dict[str, str]:
    """Return a digest of the summary of each run that a run depends on, by the end of its path."""
    summaries = {_end(folder): RunFolder(folder).summary.read_bytes() for folder in run.dependencies}
    return {name: hashlib.sha256(content).hexdigest()[:16] for name, content in summaries.items()}


def write_start(run: PlannedRun) -> None:
    """Record which results a run starts from, unless an interrupted run recorded it before. Forget its last error."""
    claim = claim_of(run)
    for path in (claim.failure, claim.path / _TRACEBACK):
        path.unlink(missing_ok=True)
    if not RunFolder(run.folder).config.exists():
        _write(run, {"sources": digests(run)})


def write_end(run: PlannedRun, seconds: float) -> None:
    """Record that a run is done, and the seconds that it took."""
    _write(run, {**_read_made(run), "seconds": round(seconds, 2)})


def _read_made(run: PlannedRun) -> dict[str, Any]:
    """Return what was recorded about a run; empty if nothing was, or the record is damaged."""
    try:
        return read_json(_made(run))
    except UserError:
        return {}


def write_failure(run: PlannedRun, error: Exception) -> None:
    """Record the error that ended an attempt at a run. That of a bug has its traceback in a file."""
    claim = claim_of(run)
    claim.record_failure(error)
    if not isinstance(error, (ExpectedError, OSError)):
        with suppress(OSError):
            (claim.path / _TRACEBACK).write_text("".join(traceback.format_exception(error)), encoding="utf-8")


def last_error(run: PlannedRun) -> str:
    """Return the error that ended the last attempt at a run; empty if there was none."""
    for folder in (claim_of(run), RunFolder(run.folder)):
        if folder.failure.exists():
            try:
                error = str(read_json(folder.failure).get("error", "")).removeprefix("UserError: ")
            except UserError as damaged:
                error = str(damaged)
            trace = folder.path / _TRACEBACK
            return f"{error}; the traceback is in {trace}" if trace.exists() else error
    return ""


def seconds_taken(run: PlannedRun) -> float | None:
    """Return the seconds that a run took; None if they are not known."""
    seconds = _read_made(run).get("seconds")
    return float(seconds) if isinstance(seconds, (int, float)) else None


def other_sources(run: PlannedRun) -> list[str]:
    """Return the dependencies whose results are not those that a run was made from, by the end of their paths."""
    before = _read_made(run).get("sources")
    if not isinstance(before, dict):
        return []
    try:
        now = digests(run)
    except OSError:  # a run was deleted
        return [_end(folder) for folder in run.dependencies if not RunFolder(folder).summary.exists()]
    return [name for name, digest in now.items() if before.get(name) not in (None, digest)]


def write_evaluation(run: PlannedRun, config: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Write the result of an evaluation. Its folder counts as done from then on."""
    run.folder.mkdir(parents=True, exist_ok=True)
    with replace_atomically(run.folder / EVALUATION) as file:
        file.write(json.dumps({**result, "config": config}, indent=1) + "\n")


def _end(folder: Path) -> str:
    return str(Path(*folder.parts[-3:]))


def _made(run: PlannedRun) -> Path:
    return claim_of(run).path / "made.json"


def _write(run: PlannedRun, record: Mapping[str, Any]) -> None:
    with replace_atomically(_made(run)) as file:
        file.write(json.dumps(record) + "\n")
