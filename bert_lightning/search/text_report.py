"""Show a search as text and as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bert_lightning.compare.run_list import short_names, shown
from bert_lightning.search.results import SearchResults, TrialResult
from bert_lightning.search.space import override_text
from bert_lightning.text_table import table

_MOST_ROWS = 50
_LONGEST_NOTE = 80


def search_text(found: SearchResults, importance: Mapping[str, float]) -> str:
    """Return the best trial, the importance of the keys, a table of the trials, and the next command."""
    request, best = found.request, found.best()
    of = "" if request.trials is None else f" of {request.trials}"
    lines = [f"{found.folder}: {len(found.trials)}{of} trials by {request.settings.get('sampler')}: {found.counts()}"]
    if best is not None:
        lines += ["", f"best: trial {best.number}, {request.metric} {best.value:.5g}"]
        lines += [f"  {override_text(key, value)}" for key, value in best.values.items()]
    if importance:
        lines += ["", "importance: the fraction of the variance of the results that a key explains (fANOVA)"]
        lines += [f"  {share:4.0%}  {key}" for key, share in importance.items()]
    lines += ["", _trial_table(found)]
    if best is not None:
        lines += ["", "Train the best again with other seeds:", f"  {found.command_of(best)}"]
    return "\n".join(lines)


def search_data(found: SearchResults, importance: Mapping[str, float]) -> dict[str, Any]:
    """Return all that is known of a search as plain data."""
    best = found.best()
    return {
        "folder": str(found.folder),
        "request": asdict(found.request),
        "best": None if best is None else best.number,
        "importance": dict(importance),
        "trials": [asdict(trial) for trial in found.trials],
        "train_best_again": None if best is None else found.command_of(best),
    }


def _trial_table(found: SearchResults) -> str:
    keys = list(found.request.space)
    short = short_names(keys)
    header = ("trial", "state", *(short[key] for key in keys), found.request.metric, "seconds", "note")
    ranked = found.ranked()
    rows = [header, *(_row(trial, keys) for trial in ranked[:_MOST_ROWS])]
    if not any(row[-1] for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    text = table(rows, [0, *range(2, len(keys) + 4)])
    left = len(ranked) - _MOST_ROWS
    return text if left <= 0 else f"{text}\n... and {left} more; format=json shows all"


def _row(trial: TrialResult, keys: list[str]) -> tuple[str, ...]:
    note = trial.note if len(trial.note) <= _LONGEST_NOTE else f"{trial.note[: _LONGEST_NOTE - 3]}..."
    return (
        str(trial.number), trial.state, *(shown(trial.values[k]) if k in trial.values else "-" for k in keys),
        "" if trial.value is None else f"{trial.value:.5g}", "" if trial.seconds is None else f"{trial.seconds:.0f}",
        note,
    )  # fmt: skip
