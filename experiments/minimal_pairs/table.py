"""Print the accuracies in `results/` as Markdown: one table for each set of pairs, a row for each phenomenon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")
ENCODERS = ("random-weights", "bert", "modern", "hour")


def table(task: str) -> str:
    """Return the table of one set of pairs, with the 95 % intervals over paradigms in the row of all pairs."""
    found = {each: json.loads((RESULTS / f"{each}-{task}.json").read_text(encoding="utf-8")) for each in ENCODERS}
    first = found[ENCODERS[0]]
    rows = [[task, "paradigms", *ENCODERS], ["---", *["---:"] * (1 + len(ENCODERS))]]
    for phenomenon, about in first["phenomena"].items():
        rows.append(
            [phenomenon, about["paradigms"], *(_percent(each["phenomena"][phenomenon]) for each in found.values())]
        )
    rows.append(
        ["**all**", first["overall"]["paradigms"], *(_with_interval(each["overall"]) for each in found.values())]
    )
    rows.append(["minutes of one core", "", *(f"{each['cost']['cpu_minutes']:.1f}" for each in found.values())])
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def _percent(values: dict[str, Any]) -> str:
    return f"{100 * values['accuracy']:.1f}"


def _with_interval(values: dict[str, Any]) -> str:
    low, high = (f"{100 * values[end]:.1f}" for end in ("low", "high"))
    return f"**{_percent(values)}** [{low}, {high}]"


if __name__ == "__main__":
    print("\n\n".join(table(task) for task in ("blimp", "zorro", "film_pairs")))
