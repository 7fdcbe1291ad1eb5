"""How far a study is: the state of each of its runs, and the time that is left."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_lightning.errors import UserError
from bert_lightning.renames import translated
from bert_lightning.runs.run_files import read_json, read_plain_yaml
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.studies import records
from bert_lightning.studies.planned_runs import PlannedRun
from bert_lightning.studies.run_configs import RunConfigs

DONE, RUNNING, INTERRUPTED, FAILED, WAITING, CHANGED = STATES = (
    "done", "running", "interrupted", "failed", "waiting", "changed",
)  # fmt: skip
_MOST_KEYS = 5  # most keys that a note names


@dataclass(frozen=True)
class RunState:
    """The state of one run.

    `done`: it has a result. `running`: a process works on it. `interrupted`: it has begun and can be continued.
    `failed`: an error ended it. `waiting`: it has not begun. `changed`: it exists, but the study now asks for another
    run; `note` names the keys. For a failed run `note` is the error.
    """

    run: PlannedRun
    state: str
    note: str = ""
    seconds: float | None = None  # time that a run took that is done; None: not known


def run_states(runs: Sequence[PlannedRun], configs: RunConfigs) -> list[RunState]:
    """Return the state of each run. A run stands after those that it depends on.

    A run is changed, too, if a run that it depends on is changed.
    """
    found: dict[Path, RunState] = {}
    for run in runs:
        state = run_state(run, configs)
        changed = [each for each in run.dependencies if each in found and found[each].state == CHANGED]
        if changed and state.state in (DONE, INTERRUPTED, FAILED):
            state = RunState(run, CHANGED, f"{found[changed[0]].run.name}, which it comes from, is changed")
        found[run.folder] = state
    return list(found.values())


def run_state(run: PlannedRun, configs: RunConfigs) -> RunState:
    """Return the state of one run. The states of runs that it depends on are not looked at."""
    try:
        before, result = _read(run)
    except UserError as error:
        return RunState(run, FAILED, str(error))
    if before is not None and (note := _what_changed(run, configs, before)):
        return RunState(run, CHANGED, note)
    if result is not None:
        return RunState(run, DONE, seconds=records.seconds_taken(run) or result.get("wall_seconds"))
    if records.is_worked_on(run):
        return RunState(run, RUNNING)
    if last := records.last_error(run):
        return RunState(run, FAILED, last)
    return RunState(run, WAITING if before is None else INTERRUPTED)


def hours_left(states: Iterable[RunState]) -> tuple[float, int]:
    """Return the hours of the runs that are left, and the number of runs whose time cannot be estimated.

    A run takes as long as the mean of those of its arm and kind that are done, or else of those of its kind.
    """
    states = list(states)
    by_arm: dict[tuple[str, str], list[float]] = {}
    by_kind: dict[str, list[float]] = {}
    for state in states:
        if state.state == DONE and state.seconds is not None:
            by_arm.setdefault((state.run.arm, state.run.kind), []).append(state.seconds)
            by_kind.setdefault(state.run.kind, []).append(state.seconds)
    seconds, unknown = 0.0, 0
    for state in states:
        if state.state in (DONE, CHANGED):
            continue
        known = by_arm.get((state.run.arm, state.run.kind)) or by_kind.get(state.run.kind)
        if known:
            seconds += statistics.mean(known)
        else:
            unknown += 1
    return seconds / 3600, unknown


def _read(run: PlannedRun) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """Return the config that a run was started from, and its result. Each is None if there is none.

    Raises:
        UserError: if a file is damaged.
    """
    if run.verb == "evaluate":
        file = records.result_file(run)
        if not file.exists():
            return None, None
        result = read_json(file)
        if not isinstance(config := result.get("config"), dict):
            raise UserError(f"{file} is damaged (it has no config): delete it, and the study evaluates again")
        return config, result
    folder = RunFolder(run.folder)
    if not folder.config.exists():
        return None, None
    config = translated(read_plain_yaml(folder.config))
    return config, folder.read_summary() if folder.summary.exists() else None


def _what_changed(run: PlannedRun, configs: RunConfigs, before: Mapping[str, Any]) -> str:
    """Return in which keys an existing run differs from what the study says; empty if in none."""
    if before.get("verb", "evaluate") != run.verb:
        return f"it is a run of {before.get('verb')}"
    if apart := configs.differences(run, before):
        shown = [f"{key} is {theirs} there and {ours} now" for key, (theirs, ours) in apart.items()]
        more = f" and {len(shown) - _MOST_KEYS} more keys" if len(shown) > _MOST_KEYS else ""
        return ", ".join(shown[:_MOST_KEYS]) + more
    if others := records.other_sources(run):
        return f"{others[0]}, which it comes from, was made anew or deleted"
    return ""
