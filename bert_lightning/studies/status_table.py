"""Show how far a study is: a table for people, and plain data for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bert_lightning.studies.definition import Study
from bert_lightning.studies.run_states import CHANGED, DONE, FAILED, RunState, hours_left
from bert_lightning.text_table import table


def status_text(study: Study, states: Sequence[RunState]) -> str:
    """Return a table of arm x seed x kind of run, what is left, and a line for each run that failed or is changed."""
    kinds = list(dict.fromkeys(state.run.kind for state in states))
    cells: dict[tuple[str, int], dict[str, list[str]]] = {}
    for state in states:
        cells.setdefault((state.run.arm, state.run.seed), {}).setdefault(state.run.kind, []).append(state.state)
    ordered = sorted(cells, key=lambda key: (list(study.arms).index(key[0]), key[1]))
    rows = [[arm, str(seed), *(_cell(cells[arm, seed].get(kind, [])) for kind in kinds)] for arm, seed in ordered]
    return "\n".join([study.title, "", table([["arm", "seed", *kinds], *rows]), "", left_text(states), *_notes(states)])


def left_text(states: Sequence[RunState]) -> str:
    """Return how many runs are left, and the hours that they will take."""
    left = [state for state in states if state.state not in (DONE, CHANGED)]
    done = sum(state.state == DONE for state in states)
    if not left:
        return f"{done} of {len(states)} runs are done"
    hours, unknown = hours_left(states)
    if unknown == len(left):
        time = "unknown time, since no run of the same kind is done"
    else:
        time = f"about {_hours(hours)} for one job at a time"
        time += f", and {unknown} runs of unknown time" if unknown else ""
    return f"{done} of {len(states)} runs are done, {len(left)} are left: {time}"


def status_data(study: Study, states: Sequence[RunState]) -> dict[str, Any]:
    """Return the same as plain data. `hours_left` does not count the runs whose time is unknown."""
    hours, unknown = hours_left(states)
    return {
        "study": str(study.folder),
        "title": study.title,
        "counts": dict(Counter(state.state for state in states)),
        "hours_left": round(hours, 4),
        "runs_of_unknown_time": unknown,
        "runs": [
            {
                "arm": state.run.arm,
                "seed": state.run.seed,
                "verb": state.run.verb,
                "task": state.run.task,
                "finetuning_seed": state.run.finetuning_seed,
                "evaluation": state.run.evaluation,
                "folder": str(state.run.folder),
                "state": state.state,
                "note": state.note,
                "seconds": state.seconds,
            }
            for state in states
        ],
    }


def _cell(states: Sequence[str]) -> str:
    """Return one cell: the state of its runs, or the number in each state if they differ."""
    counts = Counter(states)
    if len(counts) <= 1:
        return "".join(counts) if len(states) <= 1 else f"{len(states)} {states[0]}"
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def _notes(states: Sequence[RunState]) -> list[str]:
    """Return a line for each reason for which runs failed or are changed, and advice."""
    names: dict[tuple[str, str], list[str]] = {}
    for state in states:
        if state.state in (FAILED, CHANGED):
            names.setdefault((state.state, state.note), []).append(state.run.name)
    lines = [
        f"{what}: {first}{f' and {len(others)} more' if others else ''}: {note}"
        for (what, note), (first, *others) in names.items()
    ]
    advice = "A changed run is left alone: delete its folder, and the study makes it anew; or undo the change."
    return [*sorted(lines, reverse=True), *([advice] if any(what == CHANGED for what, _ in names) else [])]


def _hours(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{max(1, round(60 * hours))} minutes"
