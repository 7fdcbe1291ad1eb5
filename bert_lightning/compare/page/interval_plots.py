"""Show the differences to the baseline as intervals, and as a table with all numbers."""

from __future__ import annotations

from collections.abc import Iterable

from bert_lightning.compare.page.display import difference_unit, interval, shown, titled
from bert_lightning.compare.page.lookup import Lookup
from bert_lightning.compare.results import Difference, Measure
from bert_lightning.html_page.drawing import Scale, level, placed, tick_labels, upright
from bert_lightning.html_page.markup import Markup, element, isolated, joined, note, remarks, unseen
from bert_lightning.html_page.number_formats import MISSING, known, number, probability, sortable, typeset
from bert_lightning.html_page.sortable_table import Column, Entry, data_table, details

NARROW = 17  # characters of all tick labels that fit below a small plot
_SHAPES = {
    "better": "M0-5.5L5.5 4H-5.5z",
    "worse": "M0 5.5L5.5-4H-5.5z",
    "open": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
    "unknown": "M-4-4L4 4M-4 4L4-4",
}
VERDICTS = {
    "better": "better than the baseline",
    "worse": "worse than the baseline",
    "open": "cannot be told apart",
    "unknown": "no interval",
}


def differences_section(look: Lookup) -> list[Markup]:
    """Return the plots of all measures, and the table beneath."""
    measures = [measure for measure in look.measures if _of(look, measure)]
    if not measures:
        return [note("There is no difference to show: this comparison has one arm, or no measure that two arms share.")]
    panels = [interval_panel(look, measure) for measure in measures]
    said = [(f"{d.arm}, {titled(measure)}", d.note) for measure in measures for d in _of(look, measure)]
    return [
        _legend(),
        element("div", panels, class_="panels"),
        remarks(said, "All differences") or joined([]),
        details("All numbers of the differences", _table(look, measures)),
    ]


def interval_panel(look: Lookup, measure: Measure, heading: bool = True) -> Markup:
    """Return one plot: a row for each arm, with its difference, its interval and the Multi-Bootstrap's interval."""
    differences = _of(look, measure)
    factor = measure.factor
    ends = [
        value * factor
        for d in differences
        for value in (d.estimate, d.low, d.high, d.bootstrap_low, d.bootstrap_high)
        if known(value) and value is not None
    ]
    scale = Scale.around([0.0, *ends])
    ticks = _ticks(scale, NARROW if heading else 4 * NARROW)
    rows = [_row(look, measure, difference, scale, ticks) for difference in differences]
    axis = element(
        "div",
        [
            element("span", label, style=f"left:{scale.percent(tick)}%")
            for tick, label in zip(ticks, tick_labels(ticks, signed=True), strict=True)
        ],
        class_="axis",
        aria_hidden="true",
    )
    sides = ("worse", "better") if measure.higher_is_better else ("better", "worse")
    head = element(
        "tr",
        element("th", unseen("arm"), scope="col"),
        element(
            "th",
            element("div", element("span", "← " + sides[0]), element("span", sides[1] + " →"), class_="ends"),
            scope="col",
        ),
        element("th", unseen("difference and 95 % interval"), scope="col"),
    )
    table = element(
        "table",
        element("caption", f"{titled(measure)}: difference to {look.comparison.baseline}", class_="unseen"),
        element("thead", head),
        element("tbody", rows),
        element(
            "tfoot",
            element("tr", element("td"), element("td", axis), element("td", difference_unit(measure), class_="unit")),
        ),
        class_="forest",
    )
    return element("div", element("h3", isolated(titled(measure))) if heading else None, table, class_="panel")


def _row(look: Lookup, measure: Measure, difference: Difference, scale: Scale, ticks: Iterable[float]) -> Markup:
    factor, verdict = measure.factor, difference.verdict
    verdict = verdict if verdict in _SHAPES else "unknown"

    def place(value: float | None) -> float:
        return scale.percent((value or 0.0) * factor)

    lines = [upright(scale.percent(tick), "grid") for tick in ticks]
    lines.append(upright(scale.percent(0.0), "zero"))
    marks = []
    if known(difference.bootstrap_low) and known(difference.bootstrap_high):
        marks.append(level(place(difference.bootstrap_low), place(difference.bootstrap_high), 7, "bootstrap"))
    if known(difference.low) and known(difference.high):
        marks.append(level(place(difference.low), place(difference.high), 0, "interval"))
    if known(difference.estimate):
        marks.append(placed(place(difference.estimate), 0, element("path", d=_SHAPES[verdict]), "mark"))
    # Marks lie on the middle of the row, however high it is.
    lines.append(element("svg", marks, y="50%", width="100%", height=1, overflow="visible"))
    numbers = f"{shown(difference.estimate, measure, True)} {interval(difference, measure)}"
    words = f"{look.comparison.baseline} and {difference.arm}: {numbers}, {VERDICTS[verdict]}"
    drawing = element("svg", lines, role="img", aria_label=words)
    return element(
        "tr",
        element("th", look.name(difference.arm), scope="row"),
        element("td", drawing, class_="drawing"),
        element(
            "td",
            element("b", shown(difference.estimate, measure, True)),
            element("span", interval(difference, measure), class_="soft"),
            unseen(VERDICTS[verdict]),
            class_="numbers",
        ),
        class_=verdict,
    )


def _ticks(scale: Scale, room: int) -> list[float]:
    """Return the most ticks whose labels have room, but at least two."""
    choices = [ticks for count in (5, 4, 3, 2) if len(ticks := scale.ticks(count)) > 1]
    fitting = [ticks for ticks in choices if sum(map(len, tick_labels(ticks, signed=True))) <= room]
    return fitting[0] if fitting else choices[-1] if choices else [0.0]


def _legend() -> Markup:
    entries = [
        element(
            "span",
            element(
                "svg",
                element("path", d=_SHAPES[verdict], class_="mark"),
                class_=f"key {verdict}",
                viewBox="-7 -7 14 14",
                aria_hidden="true",
            ),
            words,
        )
        for verdict, words in VERDICTS.items()
        if verdict != "unknown"
    ]
    lines = [
        ("interval", "95 % interval"),
        ("bootstrap", "Multi-Bootstrap"),
    ]
    entries += [
        element(
            "span",
            element("svg", level(0, 100, 7, css), class_="key stroke", width=22, height=14, aria_hidden="true"),
            text,
        )
        for css, text in lines
    ]
    return element("p", entries, class_="marks")


def _of(look: Lookup, measure: Measure) -> list[Difference]:
    labels = [arm.label for arm in look.arms]
    found = [look.differences.get((label, measure.name)) for label in labels]
    return [difference for difference in found if difference is not None]


def _table(look: Lookup, measures: list[Measure]) -> Markup:
    columns = [Column("measure"), Column("arm"), *[Column(name, True) for name in _COLUMNS]]
    columns += [Column("seeds"), Column("verdict"), Column("note")]
    rows = [_numbers(look, measure, difference) for measure in measures for difference in _of(look, measure)]
    return data_table("Differences to the baseline", columns, rows, "wide")


_COLUMNS = [
    *("difference", "95 % interval", "standard error", "degrees of freedom", "Multi-Bootstrap", "p"),
    *("bootstrap p", "Holm p, arms", "Holm p, arms and tasks", "permutation p"),
    *(
        "smallest possible p",
        "detectable",
        "detectable, any seeds",
        "seeds to settle",
        "correlation of seeds",
    ),
]


def _numbers(look: Lookup, measure: Measure, d: Difference) -> list[Entry]:
    def value(number: float | None, signed: bool = False) -> Entry:
        return shown(number, measure, signed), sortable(number)

    def ends(low: float | None, high: float | None) -> Entry:
        text = f"[{shown(low, measure, True)}, {shown(high, measure, True)}]" if known(low) and known(high) else MISSING
        return text, sortable(low)

    def chance(p: float | None) -> Entry:
        return probability(p), sortable(p)

    return [
        titled(measure),
        (look.name(d.arm), d.arm),
        value(d.estimate, True),
        ends(d.low, d.high),
        value(d.standard_error),
        number(d.degrees_of_freedom, 1),
        ends(d.bootstrap_low, d.bootstrap_high),
        chance(d.p),
        chance(d.bootstrap_p),
        chance(d.holm_p),
        chance(d.holm_tasks_p),
        chance(d.permutation_p),
        chance(d.permutation_floor),
        value(d.detectable),
        value(d.example_floor),
        _seeds(d),
        number(d.seed_correlation),
        "paired" if d.paired else "unpaired",
        d.verdict,
        d.note,
    ]


def _seeds(difference: Difference) -> str:
    if difference.seeds_to_settle is not None:
        return f"{difference.seeds_to_settle:,}"
    return "over 1,000" if difference.verdict == "open" else MISSING


def settled_by(look: Lookup) -> Markup:
    """Return the sentence on what would settle an open question."""
    if not look.comparison.to_settle:
        return joined([])
    return element(
        "p",
        element("b", "What would settle it. "),
        element("span", typeset(look.comparison.to_settle), dir="auto"),
        class_="settle",
    )
