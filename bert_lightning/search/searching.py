"""The loop of a search: claim trials, run them, and record how they ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from bert_lightning.errors import ExpectedError, UserError
from bert_lightning.runs.run_files import read_json
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.search.trial_store import COMPLETE, FAILED, PRUNED, ClaimedTrial, Outcome, TrialStore

Launch = Callable[[Sequence[ClaimedTrial]], Sequence[Outcome]]
_MOST_FAILURES = 5  # the search ends if so many trials of this process fail one after another


class SearchFailed(ExpectedError):
    """The error of a search that ends because trial after trial fails. Exit code 1."""


def search(store: TrialStore, launch: Launch, say: Callable[[str], None]) -> None:
    """Run trials until the budget of the search is spent.

    Args:
        store: the trials of the search, which other processes may share.
        launch: runs some trials, and returns how each ended. Its errors end the search, and the trials can be taken
            over.
        say: prints a line.

    Raises:
        SearchFailed: if trial after trial fails.
    """
    failures: list[str] = []
    while batch := _claim_some(store):
        for claimed, outcome in zip(batch, launch(batch), strict=True):
            store.finish(claimed, outcome)
            say(_line(store, claimed, outcome))
            failures = [*failures, outcome.error] if outcome.state == FAILED else []
        if len(failures) >= _MOST_FAILURES:
            raise SearchFailed(
                f"{len(failures)} trials failed one after another, the last one because: {failures[-1]}. After the "
                "reason is removed, the same command goes on with new trials"
            )


def outcome_of(folder: RunFolder | None, metric: str, error: str = "") -> Outcome:
    """Return how a trial ended, as the folder of its run says.

    Args:
        folder: the run's folder; None if the job made none.
        metric: the monitored metric.
        error: what the job reported.
    """
    if folder is None:
        return Outcome(FAILED, error=error or "the job made no run")
    try:
        if folder.summary.exists():
            value = best_value(folder.read_summary(), metric)
            if value is None:
                return Outcome(FAILED, error=f"{metric} was not finite in any validation")
            return Outcome(COMPLETE, value)
        if folder.pruned.exists():
            return Outcome(PRUNED)
        if folder.failure.exists():
            return Outcome(FAILED, error=str(read_json(folder.failure).get("error", "")))
    except UserError as problem:
        return Outcome(FAILED, error=str(problem))
    return Outcome(FAILED, error=error or "the run did not end")


def best_value(summary: dict[str, Any], metric: str) -> float | None:
    """Return the best value of the monitored metric in a summary; its last value if no best one is known."""
    best = summary["best"]
    value = best["value"] if best and best["metric"] == metric else summary["metrics"].get(metric)
    return float(value) if value is not None and math.isfinite(value) else None


def is_finished(folder: RunFolder | None) -> bool:
    """Return whether the run of a trial has ended, though its process could not record it any more."""
    return folder is not None and (folder.summary.exists() or folder.pruned.exists())


def best_trial(trials: Sequence[FrozenTrial], mode: str) -> FrozenTrial | None:
    """Return the first trial with the best value; None if none has a value."""
    done = [trial for trial in trials if trial.state == COMPLETE and trial.value is not None]
    choose = min if mode == "min" else max
    return choose(done, key=lambda trial: trial.value or 0.0) if done else None


def _claim_some(store: TrialStore) -> list[ClaimedTrial]:
    batch: list[ClaimedTrial] = []
    while len(batch) < store.settings.batch and (claimed := store.claim()) is not None:
        batch.append(claimed)
    return batch


def _line(store: TrialStore, claimed: ClaimedTrial, outcome: Outcome) -> str:
    """Return what is said of a trial that ended."""
    trials = store.trials()
    best = best_trial(trials, "min" if store.study.direction.name == "MINIMIZE" else "max")
    ended = sum(trial.state != TrialState.RUNNING for trial in trials)
    how = {
        COMPLETE: f"{outcome.value if outcome.value is not None else math.nan:.5g}",
        PRUNED: "pruned",
        FAILED: f"failed: {outcome.error}",
    }[outcome.state]
    known = "" if best is None else f"; best {best.value:.5g} in trial {best.number}"
    of = "" if store.budget is None else f" of {store.budget}"
    return f"trial {claimed.number}: {how}{known}; {ended}{of} ended"
