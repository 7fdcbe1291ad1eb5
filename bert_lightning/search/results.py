"""Read what a search has found so far from its folder."""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from bert_lightning.errors import UserError
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.run_records import ENDED, FAILED, INTERRUPTED, PRUNED, RUNNING, STATES
from bert_lightning.runtime.file_lock import is_locked_by_another
from bert_lightning.search.request import LOCKS, Request
from bert_lightning.search.space import Value, override_text
from bert_lightning.search.trial_store import ERROR, SECONDS, VALUES, open_study

_STATES = {"COMPLETE": ENDED, "PRUNED": PRUNED, "FAIL": FAILED}


@dataclass(frozen=True)
class TrialResult:
    """One trial. `value` is the best value of the monitored metric: of a pruned trial, before it was pruned."""

    number: int
    state: str
    values: dict[str, Value]
    value: float | None
    seconds: float | None
    note: str = ""
    folder: str | None = None  # the run's folder


@dataclass(frozen=True)
class SearchResults:
    """A search, as its folder describes it. `trials` are in the order in which they began."""

    folder: Path
    request: Request
    trials: list[TrialResult]

    def best(self) -> TrialResult | None:
        """Return the first of the ended trials with the best value; None if no trial has ended."""
        ended = [trial for trial in self.trials if trial.state == ENDED and trial.value is not None]
        choose = min if self.request.mode == "min" else max
        return choose(ended, key=lambda trial: trial.value or 0.0) if ended else None

    def ranked(self) -> list[TrialResult]:
        """Return the trials with the best first: those that ended, by value, then the others by state."""
        sign = 1 if self.request.mode == "min" else -1
        order = {state: i for i, state in enumerate((ENDED, PRUNED, RUNNING, INTERRUPTED, FAILED))}
        return sorted(
            self.trials, key=lambda t: (order[t.state], math.inf if t.value is None else sign * t.value, t.number)
        )

    def counts(self) -> str:
        """Return how many trials have each state, as text."""
        counts = Counter(trial.state for trial in self.trials)
        return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])

    def command_of(self, trial: TrialResult) -> str:
        """Return the command that trains a trial's setting again with other seeds."""
        request, key = self.request, re.compile(r"\+*seed=")
        used = [text for text in request.overrides if key.match(text)]
        taken = {text.partition("=")[2] for text in used} or {str(trial.values.get("seed", 0))}
        seeds = [seed for seed in ("1", "2", "3", "4") if seed not in taken][:3]
        values = [override_text(k, v) for k, v in trial.values.items() if k != "seed"]
        shared = [text for text in request.overrides if text not in used]
        name = f"name={self.folder.name}-best"
        words = [
            "bert-lightning",
            request.verb,
            "-m",
            *request.flags,
            *shared,
            *values,
            f"seed={','.join(seeds)}",
            name,
        ]
        return shlex.join(words)


def read_search(folder: Path) -> SearchResults:
    """Read a search. Nothing in the folder changes.

    Raises:
        UserError: if the folder holds no search, or a file of it is damaged.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give the folder of a search")
    request = Request.read(folder)
    trials = open_study(folder).get_trials(deepcopy=False)
    return SearchResults(folder, request, [_result(folder, trial) for trial in trials])


def _result(folder: Path, trial: FrozenTrial) -> TrialResult:
    notes: dict[str, Any] = trial.user_attrs
    values = notes.get(VALUES)
    seconds, error = notes.get(SECONDS), notes.get(ERROR, "")
    jobs = sorted(folder.glob(f"{trial.number}-*"))
    state = _STATES.get(trial.state.name) or _state_of_unfinished(folder, trial.number, jobs)
    remark = str(error)
    if trial.state.name == "PRUNED":
        last = max(trial.intermediate_values, default=0)
        remark = f"after validation {last}"
    return TrialResult(
        trial.number, state,
        {str(k): v for k, v in values.items() if isinstance(v, (str, int, float))} if isinstance(values, dict) else {},
        trial.value if state in (ENDED, PRUNED) and trial.value is not None and math.isfinite(trial.value) else None,
        float(seconds) if isinstance(seconds, (int, float)) else None, remark, str(jobs[0]) if jobs else None,
    )  # fmt: skip


def _state_of_unfinished(folder: Path, number: int, jobs: list[Path]) -> str:
    held = is_locked_by_another(folder / LOCKS / f"trial-{number}")
    return RUNNING if held or any(RunFolder(job).is_held() for job in jobs) else INTERRUPTED
