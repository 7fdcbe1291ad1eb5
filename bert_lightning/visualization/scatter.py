"""A plot of points in groups, each with a marker and a colour. The pointer on a point shows its title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bert_lightning.html_page.drawing import Scale, tick_labels
from bert_lightning.html_page.markers import COLOURS, marker_path
from bert_lightning.html_page.markup import Markup, element, isolated


@dataclass(frozen=True)
class Point:
    """A point, the number of its group, and what is said about it."""

    x: float
    y: float
    group: int
    title: str


def scatter_plot(
    name: str,
    points: Sequence[Point],
    x: Scale,
    y: Scale,
    axes: tuple[str, str],
    groups: Sequence[str] = (),
    ticks: bool = True,
    diagonal: bool = False,
) -> Markup:
    """Return the plot. A unit is as long on the one axis as on the other.

    Args:
        name: a name that no other plot of the page has.
        points: the points.
        x: the scale of the horizontal axis.
        y: the scale of the vertical axis.
        axes: what the axes are.
        groups: the names of the groups, for the legend; empty: no legend.
        ticks: whether the axes have numbers.
        diagonal: whether to draw the line on which both values are equal. The scales must be equal.
    """
    numbers = sorted({point.group for point in points})
    marks = [_mark(name, number) for number in numbers]
    line = element("line", x1="0%", y1="100%", x2="100%", y2="0%", class_="diagonal") if diagonal else None
    drawn = [_group(name, number, points, x, y) for number in numbers]
    ratio = (x.high - x.low) / (y.high - y.low)
    box = element("div", element("svg", element("defs", marks), line, drawn, role="img", aria_label=" and ".join(axes)))
    legend = _legend(groups, points) if groups else None
    words = "Point at a mark to see its example."
    return element(
        "div",
        legend,
        element(
            "div",
            element("div", _levels(y) if ticks else None, element("span", axes[1], class_="vertical"), class_="levels"),
            Markup(box.replace("<div>", f'<div class="box" style="aspect-ratio:{ratio:.4f}">', 1)),
            element("div", _ticks(x) if ticks else None, class_="axis"),
            element("p", axes[0], class_="unit"),
            class_="plane",
            style=f"--ratio:{ratio:.4f}",
        ),
        element("p", words, class_="reading note"),
        class_="scatter",
    )


def _mark(name: str, number: int) -> Markup:
    return element("g", marker_path(number), id=f"mark-{name}-{number}")


def _group(name: str, number: int, points: Sequence[Point], x: Scale, y: Scale) -> Markup:
    drawn = [
        element(
            "use",
            element("title", point.title),
            href=f"#mark-{name}-{number}",
            x=f"{x.percent(point.x)}%",
            y=f"{round(100 - y.percent(point.y), 2)}%",
        )
        for point in points
        if point.group == number
    ]
    return element("g", drawn, class_=f"group-{number}", style=_colour(number))


def _legend(groups: Sequence[str], points: Sequence[Point]) -> Markup:
    labels = []
    for number, group in enumerate(groups):
        key = element("svg", marker_path(number), class_="key", viewBox="-6 -6 12 12", aria_hidden="true")
        count = sum(point.group == number for point in points)
        labels.append(
            element(
                "label",
                element("input", type="checkbox", checked=True, class_=f"show-{number}"),
                key,
                isolated(group),
                element("span", f"{count:,}", class_="soft"),
                style=_colour(number),
            )
        )
    return element("fieldset", element("legend", "Labels"), labels, class_="legend controls")


def _colour(number: int) -> str:
    return f"--c:var(--c{(number + 1) % COLOURS})"  # the first colour of page.css is a grey


def _levels(y: Scale) -> list[Markup]:
    ticks = y.ticks()
    places = [f"top:{round(100 - y.percent(tick), 2)}%" for tick in ticks]
    return [element("span", text, style=place) for text, place in zip(tick_labels(ticks), places, strict=True)]


def _ticks(x: Scale) -> list[Markup]:
    ticks = x.ticks()
    places = [f"left:{x.percent(tick)}%" for tick in ticks]
    return [element("span", text, style=place) for text, place in zip(tick_labels(ticks), places, strict=True)]
