"""The table of what each arm spent until it reached a target. A run that never did is censored at its budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from bert_lightning.compare.page.curve_plots import plots
from bert_lightning.compare.page.display import shown, titled
from bert_lightning.compare.page.lookup import Lookup
from bert_lightning.compare.results import TimeToTarget
from bert_lightning.html_page.markup import Markup, element, note
from bert_lightning.html_page.number_formats import compact, duration, sortable
from bert_lightning.html_page.sortable_table import Column, Entry, data_table

_AXES: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "steps": ("steps", compact),
    "tokens": ("tokens", compact),
    "flops": ("FLOPs", compact),
    "seconds": ("time", duration),
}


def curves_section(look: Lookup) -> list[Markup]:
    """Return the curves and the tables of times to a target."""
    parts = plots(look)
    targets = sorted({(time.measure, time.target) for time in look.comparison.times_to_target})
    for measure, target in targets:
        times = [t for t in look.comparison.times_to_target if (t.measure, t.target) == (measure, target)]
        parts += _target(look, measure, target, times)
    return parts


def _target(look: Lookup, name: str, target: float, times: Sequence[TimeToTarget]) -> list[Markup]:
    measure = look.measure(name)
    axes = [axis for axis in _AXES if any(getattr(time, axis) is not None for time in times)]
    heading = element("h3", f"Until {titled(measure)} first reaches {shown(target, measure)}")
    if not axes:
        return [heading, note("No run reached this target within its budget.")]
    columns = [Column("arm"), Column("reached by")] + [Column(_AXES[axis][0], True) for axis in axes]
    rows: list[list[Entry]] = []
    for arm in look.arms:
        own = [time for time in times if time.arm == arm.label]
        if own:
            reached = sum(any(getattr(time, axis) is not None for axis in axes) for time in own)
            label: Entry = (look.name(arm.label), arm.label)
            rows.append(
                [label, (f"{reached} of {len(own)} seeds", str(reached)), *[_median(own, axis) for axis in axes]]
            )
    explanation = note("Median over seeds. A seed that did not reach the target counts as later than all that did.")
    return [heading, data_table(f"Time until {measure.label or name} reaches its target", columns, rows), explanation]


def _median(times: Sequence[TimeToTarget], axis: str) -> Entry:
    values = sorted(math.inf if (value := getattr(time, axis)) is None else value for time in times)
    middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
    if not math.isfinite(middle):
        return element("span", "not reached", class_="soft"), ""
    return _AXES[axis][1](middle), sortable(middle)
