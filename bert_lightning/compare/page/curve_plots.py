"""Draw curves over steps, tokens, FLOPs and seconds: a thin line for each seed, a thick one for the arm's mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bert_lightning.compare.page.display import shown, titled
from bert_lightning.compare.page.lookup import Lookup
from bert_lightning.compare.results import Curve, Measure
from bert_lightning.html_page.drawing import MAX_POINTS, Scale, path, thinned, tick_labels
from bert_lightning.html_page.markup import Markup, element, isolated, note

HEIGHT = 340  # pixels of a plot
LABEL = 17  # pixels between the labels at the ends of the curves
SEED_POINTS = 80_000  # of all lines of seeds together, so that the page stays small
MOST_LABELS = 12  # arms with a label at the end of their curve; more are told apart by the legend
AXES = {"steps": "steps", "tokens": "tokens", "flops": "FLOPs", "seconds": "time"}
_UNITS = {
    "steps": [(1e6, "million training steps"), (1e4, "thousand training steps"), (0.0, "training steps")],
    "tokens": [(1e9, "billion tokens"), (1e6, "million tokens"), (1e3, "thousand tokens"), (0.0, "tokens")],
    "flops": [
        (1e18, "training FLOPs, 10¹⁸"),
        (1e15, "training FLOPs, 10¹⁵"),
        (1e12, "training FLOPs, 10¹²"),
        (1e9, "training FLOPs, 10⁹"),
        (0.0, "training FLOPs"),
    ],
    "seconds": [(7200.0, "hours of training"), (180.0, "minutes of training"), (0.0, "seconds of training")],
}
_DIVISORS = {7200.0: 3600.0, 180.0: 60.0, 1e4: 1e3, 0.0: 1.0}

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Lines:
    """The curves of one arm over one axis: one for each seed, and their mean where all seeds have values."""

    arm: str
    seeds: list[Points]
    mean: Points


def plots(look: Lookup) -> list[Markup]:
    """Return the controls and the plots of all measures that have curves."""
    curves = look.comparison.curves
    names = [measure.name for measure in look.measures]
    found = sorted({curve.measure for curve in curves}, key=lambda name: [*names, name].index(name))
    axes = [axis for axis in AXES if any(len(_points(curve, axis)) > 1 for curve in curves)]
    if not axes:
        return [note("There are no curves: no run logged values during training, or these values come without runs.")]
    arms = [arm.label for arm in look.arms if any(curve.arm == arm.label for curve in curves)]
    legend = note("Thin lines are seeds; the thick line is their mean, as far as all seeds have values.")
    limit = max(60, min(MAX_POINTS, SEED_POINTS // (len(curves) * len(axes))))
    figures = [_figure(look, name, [c for c in curves if c.measure == name], axes, limit) for name in found]
    return [element("div", _controls(look, axes, arms), figures, legend, class_="curves")]


def lines_of(curves: Sequence[Curve], axis: str) -> list[Lines]:
    """Return the lines of each arm over one axis. A curve without values for this axis is left out."""
    arms: dict[str, list[Points]] = {}
    for curve in curves:
        points = _points(curve, axis)
        if len(points) > 1:
            arms.setdefault(curve.arm, []).append(points)
    return [Lines(arm, seeds, _mean(seeds)) for arm, seeds in arms.items()]


def axis_unit(axis: str, largest: float) -> tuple[float, str]:
    """Return what values of an axis are divided by for display, and the label of the axis."""
    size, label = next((size, label) for size, label in _UNITS[axis] if largest >= size)
    return _DIVISORS.get(size, size), label


def visible_range(lines: Sequence[Lines], measure: Measure) -> Scale:
    """Return the range of values to show. The steep start of a loss is cut off where it would hide the rest."""
    values = [value for line in lines for seed in line.seeds for _, value in seed]
    late = [value for line in lines for seed in line.seeds for _, value in seed[len(seed) // 5 :]]
    low, high = min(late), max(late)
    room = (high - low) * 0.08 or abs(high) * 0.08 or 1.0
    if not measure.higher_is_better and max(values) > high + (high - low):
        return Scale(low - room, high + room)
    return Scale.around(values)


def _points(curve: Curve, axis: str) -> Points:
    places = getattr(curve, axis)
    pairs = [(x, y) for x, y in zip(places, curve.values, strict=False) if math.isfinite(x) and math.isfinite(y)]
    return sorted(pairs)


def _mean(seeds: Sequence[Points]) -> Points:
    if len(seeds) == 1:
        return seeds[0]
    start, end = max(seed[0][0] for seed in seeds), min(seed[-1][0] for seed in seeds)
    places = sorted({x for seed in seeds for x, _ in seed if start <= x <= end})
    if len(places) < 2:
        return []
    values = np.mean([np.interp(places, [x for x, _ in seed], [y for _, y in seed]) for seed in seeds], axis=0)
    return list(zip(places, values.tolist(), strict=True))


def _figure(look: Lookup, name: str, curves: Sequence[Curve], axes: Sequence[str], limit: int) -> Markup:
    measure = look.measure(name)
    drawn = [_plot(look, measure, lines_of(curves, axis), axis, limit) for axis in axes]
    return element("figure", element("figcaption", isolated(titled(measure))), drawn)


def _plot(look: Lookup, measure: Measure, lines: Sequence[Lines], axis: str, limit: int) -> Markup:
    if not lines:
        sentence = f"No run logged {measure.label or measure.name} over {AXES[axis]}."
        return element("div", note(sentence), class_=f"plot empty x-{axis}")
    largest = max(x for line in lines for seed in line.seeds for x, _ in seed)
    divisor, unit = axis_unit(axis, largest)
    x, y = Scale(0.0, largest if largest > 0 else 1.0), visible_range(lines, measure)
    shown_x, shown_y = Scale(0.0, x.high / divisor), Scale(y.low * measure.factor, y.high * measure.factor)
    across, up = shown_x.ticks(5), shown_y.ticks(5)
    grid = [element("path", d=f"M0 {1000 - 10 * shown_y.percent(tick):.0f}H1000", class_="grid") for tick in up]
    drawing = element(
        "svg",
        grid,
        [_paths(look, line, x, y, limit) for line in lines],
        viewBox="0 0 1000 1000",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{measure.label or measure.name} over {unit}: {_last_values(lines, measure)}",
    )
    cut = max(value for line in lines for seed in line.seeds for _, value in seed) > y.high
    levels = [
        element("span", text, style=f"top:{100 - shown_y.percent(tick)}%")
        for tick, text in zip(up, tick_labels(up), strict=True)
    ]
    places = [
        element("span", text, style=f"left:{shown_x.percent(tick)}%")
        for tick, text in zip(across, tick_labels(across), strict=True)
    ]
    return element(
        "div",
        element("div", levels, class_="levels", aria_hidden="true"),
        element("div", drawing, class_="box"),
        element("div", _end_labels(look, lines, y, measure), class_="names", aria_hidden="true"),
        element("div", places, class_="axis", aria_hidden="true"),
        element("div", f"{unit}; the first values lie above the plot" if cut else unit, class_="unit"),
        data_scale=f"{shown_x.high:.6g} {shown_y.low:.8g} {shown_y.high:.8g} {max(measure.decimals, 0)}",
        class_=f"plot x-{axis}",
        style=f"--h:{HEIGHT}px",
    )


def _paths(look: Lookup, line: Lines, x: Scale, y: Scale, limit: int) -> Markup:
    several = len(line.seeds) > 1
    seeds = [path(thinned(seed, limit), x, y, "seed") for seed in line.seeds] if several else []
    mean = path(thinned(line.mean), x, y, "mean") if line.mean else None
    return element("g", seeds, mean, class_=look.css(line.arm))


def _end_labels(look: Lookup, lines: Sequence[Lines], y: Scale, measure: Measure) -> list[Markup]:
    ends = [(line.arm, (line.mean or line.seeds[0])[-1][1]) for line in lines]
    if len(ends) > MOST_LABELS:
        return []
    ends.sort(key=lambda end: -end[1])
    tops = spread([(100 - y.percent(value)) / 100 * HEIGHT for _, value in ends], LABEL, HEIGHT)
    return [
        element(
            "span",
            look.marker(arm),
            element("b", shown(value, measure)),
            isolated(arm),
            class_=look.css(arm),
            style=f"top:{top:.0f}px",
            title=arm,
        )
        for (arm, value), top in zip(ends, tops, strict=True)
    ]


def spread(tops: Sequence[float], gap: float, height: float) -> list[float]:
    """Return sorted places that are at least `gap` apart and, as far as there is room, within `height`."""
    placed: list[float] = []
    for top in tops:
        placed.append(max(top, placed[-1] + gap) if placed else top)
    limit = height
    for index in range(len(placed) - 1, -1, -1):
        placed[index] = min(placed[index], limit)
        limit = placed[index] - gap
    return placed


def _last_values(lines: Sequence[Lines], measure: Measure) -> str:
    return "; ".join(f"{line.arm} ends at {shown((line.mean or line.seeds[0])[-1][1], measure)}" for line in lines)


def _controls(look: Lookup, axes: Sequence[str], arms: Sequence[str]) -> Markup:
    choices = [
        element(
            "label",
            element("input", type="radio", name="axis", id=f"axis-{axis}", checked=index == 0, autocomplete="off"),
            element("span", AXES[axis]),
        )
        for index, axis in enumerate(axes)
    ]
    toggles = [
        element(
            "label",
            element("input", type="checkbox", id=f"show-{look.number(arm)}", checked=True, autocomplete="off"),
            look.marker(arm),
            isolated(arm),
            class_=look.css(arm),
        )
        for arm in arms
    ]
    return element(
        "div",
        element("fieldset", element("legend", "Over"), choices, class_="switch"),
        element("fieldset", element("legend", "Arms"), toggles, class_="legend"),
        class_="controls",
    )
