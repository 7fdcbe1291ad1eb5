"""The trials of a search, in a journal file that several processes share.

Optuna appends one line of JSON for each event. Locks of the system say who works on what. A process that dies, also by
`kill -9`, loses its locks, and so others know that its trials can be taken over.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from bert_lightning.errors import UserError
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runtime.file_lock import FileLock
from bert_lightning.search.pruners import make_pruner
from bert_lightning.search.request import JOURNAL, LOCKS
from bert_lightning.search.samplers import sampler_of_trial
from bert_lightning.search.settings import SearchSettings
from bert_lightning.search.space import Space, Value

Direction = Literal["minimize", "maximize"]
_STUDY = "search"
# What a trial notes: the values of its overrides, its time in the process that ended it, and why it failed.
VALUES, SECONDS, ERROR = "values", "seconds", "error"
COMPLETE, PRUNED, FAILED = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


class JournalLock(FileLock):
    """The lock of the journal. Whoever takes it removes an event that its process could not write to the end."""

    def __init__(self, journal: Path) -> None:
        super().__init__(journal.parent / LOCKS / "journal")
        self.journal = journal

    def acquire(self) -> bool:
        super().acquire()
        with self.journal.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                return True
            file.seek(size - 1)
            if file.read(1) != b"\n":  # the process was killed, or the disk was full
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        return True


def open_study(folder: Path, direction: Direction | None = None) -> Study:
    """Return the study in the folder of a search. With a direction, it is created if there is none.

    Raises:
        UserError: if there is no study, or its journal is damaged.
    """
    journal = folder / JOURNAL
    if direction is None and not journal.is_file():
        raise UserError(f"{folder} has no {JOURNAL}: the search has not begun, or the file is lost")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    lock = _lock(journal)
    try:
        backend = JournalFileBackend(str(journal), lock_obj=lock)  # type: ignore[arg-type]  # it has their methods
        storage = optuna.storages.JournalStorage(backend)
        if direction is None:
            return optuna.load_study(study_name=_STUDY, storage=storage)
        return optuna.create_study(study_name=_STUDY, storage=storage, direction=direction, load_if_exists=True)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, IndexError) as error:
        raise UserError(
            f"{journal} is damaged ({' '.join(str(error).split())[:120] or type(error).__name__}): restore it from a "
            "copy, or search again with another name=..."
        ) from None


def _lock(journal: Path) -> JournalLock:
    (journal.parent / LOCKS).mkdir(parents=True, exist_ok=True)
    return JournalLock(journal)


@dataclass
class ClaimedTrial:
    """A trial that this process works on."""

    number: int
    values: dict[str, Value]
    repeated: bool  # whether another process had begun it
    began: float
    lock: FileLock


@dataclass(frozen=True)
class Outcome:
    """How a trial ended. `value` is None unless its state is COMPLETE."""

    state: TrialState
    value: float | None = None
    error: str = ""


class TrialStore:
    """The trials of a search. Any number of processes may use one folder at the same time.

    Args:
        folder: the search's folder.
        settings: the settings of the search.
        space: the search space.
        direction: `minimize` or `maximize`.
    """

    def __init__(self, folder: Path, settings: SearchSettings, space: Space, direction: Direction) -> None:
        self.folder, self.settings, self.space = folder, settings, space
        self.budget = len(space.grid()) if settings.sampler == "grid" else settings.trials
        if self.budget is not None and settings.trials is not None:
            self.budget = min(self.budget, settings.trials)
        self.locks = folder / LOCKS
        self.locks.mkdir(parents=True, exist_ok=True)
        self._mutex = FileLock(self.locks / "search")
        with self._mutex:
            self.study = open_study(folder, direction)
        self.study.pruner = make_pruner(settings)

    def claim(self) -> ClaimedTrial | None:
        """Return the next trial for this process: one whose process died, or else a new one.

        The result is None if the budget is spent. Then other processes may still work on their trials.
        """
        with self._mutex:
            trials = self.trials()
            for trial in trials:
                if trial.state == TrialState.RUNNING and (lock := self._lock_if_free(trial.number)) is not None:
                    return self._claimed(Trial(self.study, trial._trial_id), lock, repeated=True)
            if self._spent(trials):
                return None
            self.study.sampler = sampler_of_trial(self.settings, self.space, len(trials))
            new = self.study.ask()
            lock = self._lock_if_free(new.number)
            assert lock is not None, "nobody knows this trial yet"
            return self._claimed(new, lock, repeated=False)

    def finish(self, claimed: ClaimedTrial, outcome: Outcome) -> None:
        """Record how a trial ended."""
        with self._mutex:
            trial = self.trials()[claimed.number]
            handle = Trial(self.study, trial._trial_id)
            handle.set_user_attr(SECONDS, round(time.time() - claimed.began, 2))
            if outcome.error:
                handle.set_user_attr(ERROR, outcome.error)
            self.study.tell(claimed.number, outcome.value, state=outcome.state)
            claimed.lock.release()
            claimed.lock.path.unlink(missing_ok=True)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, by number."""
        return self.study.get_trials(deepcopy=False)

    def job_folder(self, number: int) -> RunFolder | None:
        """Return the run's folder of a trial; None if its run has not begun."""
        found = sorted(self.folder.glob(f"{number}-*"))
        return RunFolder(found[0]) if found else None

    def _lock_if_free(self, number: int) -> FileLock | None:
        """Take the lock of a trial. None: another process works on it, or its job still runs by itself."""
        lock = FileLock(self.locks / f"trial-{number}")
        if not lock.try_acquire():
            return None
        job = self.job_folder(number)
        if job is not None and job.is_held_by_another():
            lock.release()
            return None
        return lock

    def _claimed(self, trial: Trial, lock: FileLock, repeated: bool) -> ClaimedTrial:
        values = self.space.suggest(trial)
        trial.set_user_attr(VALUES, values)
        return ClaimedTrial(trial.number, values, repeated, time.time(), lock)

    def _spent(self, trials: list[FrozenTrial]) -> bool:
        """Return whether no new trial may begin."""
        if self.budget is not None and len(trials) >= self.budget:
            return True
        return self.settings.hours is not None and seconds_spent(trials) >= 3600 * self.settings.hours


def seconds_spent(trials: list[FrozenTrial], now: Callable[[], float] = time.time) -> float:
    """Return the seconds that all trials took, also those that still run."""
    spent = 0.0
    for trial in trials:
        if trial.state == TrialState.RUNNING and trial.datetime_start is not None:
            spent += max(0.0, now() - trial.datetime_start.timestamp())
        seconds = trial.user_attrs.get(SECONDS, 0.0)
        spent += seconds if isinstance(seconds, (int, float)) else 0.0
    return spent
