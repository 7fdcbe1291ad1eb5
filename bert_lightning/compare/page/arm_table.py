"""The main table: each arm on each measure with a dot for each seed, and what the arm cost."""

from __future__ import annotations

from collections.abc import Callable

from bert_lightning.compare.page.display import half_width, shown, titled
from bert_lightning.compare.page.lookup import Lookup
from bert_lightning.compare.results import Cell, Measure
from bert_lightning.html_page.drawing import Scale, level, placed
from bert_lightning.html_page.markers import marker_path
from bert_lightning.html_page.markup import Markup, element, note, remarks, unseen
from bert_lightning.html_page.number_formats import FIGURE_SPACE, MISSING, compact, duration, known, sortable
from bert_lightning.html_page.sortable_table import scrolling

NO_BREAK = "\u00a0"
STRIP = 22  # pixels of a strip of dots
_COSTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "parameters": ("parameters", compact),
    "tokens": ("tokens", compact),
    "tokens_per_second": ("tokens/s", compact),
    "flops": ("FLOPs", compact),
    "mfu": ("MFU", lambda value: f"{100 * value:.1f} %"),
    "memory_bytes": ("memory", lambda value: f"{compact(value)}B"),
    "wall_seconds": ("time", duration),
}


def results_section(look: Lookup) -> list[Markup]:
    """Return the table and the line that explains it."""
    if not look.cells:
        return [note("No run has a measure to show.")]
    measures = [m for m in look.measures if any(name == m.name for _, name in look.cells)]
    costs = [key for key in _COSTS if any(known(arm.costs.get(key)) for arm in look.arms)]
    arrows = {True: "↑", False: "↓"}
    heads = [element("th", "arm", scope="col")]
    heads += [
        element(
            "th",
            titled(m),
            NO_BREAK,
            element("span", arrows[m.higher_is_better], class_="soft", aria_hidden="true"),
            unseen("higher is better" if m.higher_is_better else "lower is better"),
            scope="col",
            class_="measure",
        )
        for m in measures
    ]
    heads += [element("th", _COSTS[key][0], scope="col", class_="number") for key in costs]
    widths = {measure.name: _Padding(look, measure) for measure in measures}
    rows = [
        element(
            "tr",
            element("th", look.name(arm.label), scope="row", data_key=arm.label),
            [_cell(look, look.cells.get((arm.label, m.name)), m, widths[m.name]) for m in measures],
            [_cost(key, arm.costs.get(key)) for key in costs],
        )
        for arm in look.arms
    ]
    caption = "Arms and measures"
    table = element(
        "table",
        element("caption", caption, class_="unseen"),
        element("thead", element("tr", heads)),
        element("tbody", rows),
        class_="data results sortable",
    )
    said = remarks(
        ((f"{cell.arm}, {titled(look.measure(cell.measure))}", cell.note) for cell in look.cells.values()),
        "All arms and measures",
    )
    return [scrolling(caption, table), _explained(look), *([said] if said else [])]


class _Padding:
    """The scale of one measure's strips, and the widths that align its numbers."""

    def __init__(self, look: Lookup, measure: Measure) -> None:
        cells = [cell for (_, name), cell in look.cells.items() if name == measure.name]
        self.scale = Scale.around(
            [x for c in cells for x in (c.mean, c.low, c.high, *(v.value for v in c.values))], margin=0.08
        )
        halves = [half for cell in cells if (half := half_width(cell)) is not None]
        self.half = max((len(shown(half, measure)) for half in halves), default=0)


def _cell(look: Lookup, cell: Cell | None, measure: Measure, padding: _Padding) -> Markup:
    if cell is None:
        return element("td", element("span", "not measured", class_="soft"), class_="measure", data_key="")
    width = _width(cell, measure, padding)
    best = (
        element("span", "★", class_="best", title="may be the best", aria_hidden="true") if cell.may_be_best else None
    )
    mean = element("b" if cell.may_be_best else "span", shown(cell.mean, measure), class_="mean")
    numbers = element(
        "div",
        best,
        unseen("may be the best: ") if best else None,
        mean,
        " ",
        element("span", width, class_="soft"),
        class_="value",
    )
    return element(
        "td", numbers, _strip(look, cell, measure, padding.scale), class_="measure", data_key=sortable(cell.mean)
    )


def _width(cell: Cell, measure: Measure, padding: _Padding) -> str:
    half = half_width(cell)
    if half is not None:
        return f"± {shown(half, measure).rjust(padding.half, FIGURE_SPACE)}"
    if known(cell.low) and known(cell.high):  # an accuracy near 100 %: its interval ends there
        return f"[{shown(cell.low, measure)}, {shown(cell.high, measure)}]"
    return "no interval" if len(cell.values) > 1 else "one seed"


def _strip(look: Lookup, cell: Cell, measure: Measure, scale: Scale) -> Markup:
    middle = STRIP / 2
    shapes = [level(0, 100, middle, "base")]
    if cell.low is not None and cell.high is not None and known(cell.low) and known(cell.high):
        shapes.append(level(scale.percent(cell.low), scale.percent(cell.high), middle, "interval"))
    marker = marker_path(look.number(cell.arm))
    shapes += [placed(scale.percent(v.value), middle, marker, "dot") for v in cell.values if known(v.value)]
    values = ", ".join(f"seed {value.seed}: {shown(value.value, measure)}" for value in cell.values)
    return element(
        "svg",
        element("title", values),
        shapes,
        width="100%",
        height=STRIP,
        role="img",
        aria_label=values,
        class_=f"strip {look.css(cell.arm)}",
    )


def _cost(key: str, value: float | None) -> Markup:
    text = _COSTS[key][1](value) if value is not None and known(value) else MISSING
    return element("td", text, class_="number", data_key=sortable(value))


def _explained(look: Lookup) -> Markup:
    seeds = "Each mark is one pretraining seed, the mean over its fine-tuning seeds."
    if not any(value.finetuned for cell in look.cells.values() for value in cell.values):
        seeds = "Each mark is one pretraining seed."
    widths = "± is half the 95 % interval over new seeds and new examples. "
    if any(known(cell.low) and half_width(cell) is None for cell in look.cells.values()):
        widths = "± is half the 95 % interval over new seeds and new examples, [ ] are its ends. "
    width = widths if any(known(cell.low) for cell in look.cells.values()) else ""
    best = "★ and bold: cannot be excluded as the best arm. " if any(c.may_be_best for c in look.cells.values()) else ""
    return element("p", f"{best}{width}{seeds}", class_="note")
