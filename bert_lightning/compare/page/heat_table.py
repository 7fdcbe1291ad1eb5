"""Heat tables: each task and each category of examples, coloured by the difference to the baseline."""

from __future__ import annotations

from collections.abc import Sequence

from bert_lightning.compare.page.display import shown, titled
from bert_lightning.compare.page.lookup import Lookup
from bert_lightning.compare.results import Breakdown, Measure
from bert_lightning.html_page.markup import Markup, element, isolated, joined, note
from bert_lightning.html_page.number_formats import MISSING, known, sortable
from bert_lightning.html_page.sortable_table import details, scrolling

LONG = 24  # categories; a longer table is folded away on the screen


def tasks_section(look: Lookup) -> list[Markup]:
    """Return a heat table of the tasks and one of each breakdown."""
    parts: list[Markup] = []
    tasks = [m for m in look.measures if m.kind in ("task", "evaluation", "average") and _measured(look, m)]
    if tasks:
        rows = [(titled(m), None, m, [_mean(look, label, m) for label in _labels(look)]) for m in tasks]
        parts += [element("h3", "By task"), _table(look, "Tasks", rows, whole=True)]
    for breakdown in look.comparison.breakdowns:
        parts += _breakdown(look, breakdown)
    if not parts:
        return [note("There are no tasks or categories of examples to show.")]
    return [*parts, _key()]


Row = tuple[str, float | None, Measure, list[float | None]]


def _breakdown(look: Lookup, breakdown: Breakdown) -> list[Markup]:
    measure = look.measure(breakdown.measure)
    rows: list[Row] = []
    for index, category in enumerate(breakdown.categories):
        values = [_at(breakdown.values.get(label, []), index) for label in _labels(look)]
        rows.append((category, _at(breakdown.counts, index), measure, values))
    if not rows:
        return []
    table = _table(look, breakdown.title, rows, whole=False)
    heading = element("h3", isolated(breakdown.title), " ", element("span", isolated(titled(measure)), class_="soft"))
    return [heading, details(f"{len(rows)} categories", table) if len(rows) > LONG else table]


def _table(look: Lookup, title: str, rows: Sequence[Row], whole: bool) -> Markup:
    labels = _labels(look)
    baseline = labels.index(look.comparison.baseline) if look.comparison.baseline in labels else None
    heads = [element("th", "task" if whole else "category", scope="col")]
    heads += [] if whole else [element("th", "examples", scope="col", class_="number")]
    heads += [element("th", look.name(label), scope="col", class_="number") for label in labels]
    largest = _largest(look, rows, baseline)
    body = []
    for name, count, measure, values in rows:
        reference = values[baseline] if baseline is not None else None
        cells = [
            _cell(measure, value, None if index == baseline else reference, largest[measure.unit, measure.factor])
            for index, value in enumerate(values)
        ]
        shown_count = (
            []
            if whole
            else [
                element(
                    "td", f"{count:,.0f}" if count is not None else MISSING, class_="number", data_key=sortable(count)
                )
            ]
        )
        body.append(element("tr", element("th", isolated(name), scope="row"), shown_count, cells))
    table = element(
        "table",
        element("caption", title, class_="unseen"),
        element("thead", element("tr", heads)),
        element("tbody", body),
        class_="data heat sortable",
    )
    return scrolling(title, table)


def _cell(measure: Measure, value: float | None, reference: float | None, largest: float) -> Markup:
    if value is None or not known(value):
        return element("td", MISSING, class_="number", data_key="")
    css, style, change = "number", None, None
    if reference is not None and known(reference):
        difference = value - reference
        good = (difference > 0) == measure.higher_is_better
        if difference:
            css += " good" if good else " bad"
            style = f"--d:{min(abs(difference) / largest, 1):.2f}" if largest else None
        change = element("small", shown(difference, measure, True))
    return element("td", shown(value, measure), change, class_=css, style=style, data_key=sortable(value))


def _largest(look: Lookup, rows: Sequence[Row], baseline: int | None) -> dict[tuple[str, float], float]:
    """Return the difference that gets the strongest colour, for each unit.

    It is the largest difference to the baseline, or the smallest detectable one: noise alone has pale colours.
    """
    detectable = {power.measure: power.detectable for power in look.comparison.power}
    largest: dict[tuple[str, float], float] = {}
    for _, _, measure, values in rows:
        reference = values[baseline] if baseline is not None else None
        differences = [
            abs(v - reference) for v in values if v is not None and reference is not None and known(v - reference)
        ]
        key = (measure.unit, measure.factor)
        noise = detectable.get(measure.name)
        floor = noise if noise is not None and known(noise) else 0.0
        largest[key] = max([largest.get(key, 0.0), floor, *differences])
    return largest


def _key() -> Markup:
    return element(
        "p",
        joined(
            [
                "Small numbers are differences to the baseline. ",
                element("span", "better", class_="sample good"),
                " ",
                element("span", "worse", class_="sample bad"),
                " The strongest colour is the largest difference of the table, or the smallest detectable one if that "
                "is larger. Only the intervals tell a difference from noise.",
            ]
        ),
        class_="note",
    )


def _labels(look: Lookup) -> list[str]:
    return [arm.label for arm in look.arms]


def _measured(look: Lookup, measure: Measure) -> bool:
    return any(name == measure.name for _, name in look.cells)


def _mean(look: Lookup, label: str, measure: Measure) -> float | None:
    cell = look.cells.get((label, measure.name))
    return cell.mean if cell is not None else None


def _at(values: Sequence[float | None], index: int) -> float | None:
    return values[index] if index < len(values) else None
