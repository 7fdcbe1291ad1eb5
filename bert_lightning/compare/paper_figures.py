"""Draw the figures of a comparison for a paper, as PNG and SVG: intervals of the differences, and curves."""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert_lightning.compare.page.curve_plots import Lines, axis_unit, lines_of, spread, visible_range
from bert_lightning.compare.page.display import difference_unit, titled
from bert_lightning.compare.page.lookup import Lookup
from bert_lightning.compare.results import Comparison, Difference, Measure
from bert_lightning.errors import UserError
from bert_lightning.html_page.drawing import Scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ["#5a6169", "#0b6fb8", "#e47017", "#1d9b78", "#c963a3", "#7c6003", "#5a52c8", "#7a4526"]
VERDICTS = {
    "better": ("#0b61a8", "^"),
    "worse": ("#a9430a", "v"),
    "open": ("#59616b", "o"),
    "unknown": ("#59616b", "x"),
}
COLUMN = 3.4  # inches: one column of a paper
CURVES_HEIGHT, LINE = 2.5, 0.155  # inches: a figure of curves with few arms, and a line of text
STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "bert-lightning",
    "text.parse_math": False,  # a label may hold a dollar sign
}


def check_matplotlib() -> None:
    """Check that matplotlib is installed.

    Raises:
        UserError: if it is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("figures need matplotlib: pip install 'bert-lightning[demo]'")


def figures(comparison: Comparison, folder: Path) -> list[Path]:
    """Write the figures of a comparison to a folder, and return their paths.

    `differences` shows the intervals of all measures, and `curves-<measure>` one measure over the training steps, or
    over the first other axis that has values. A figure without anything to show is not written.

    Raises:
        UserError: if matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib import rc_context

    folder.mkdir(parents=True, exist_ok=True)
    look = Lookup(comparison)
    written: list[Path] = []
    with rc_context(STYLE):
        if comparison.differences:
            written += _saved(_intervals(look), folder / "differences")
        for name in sorted({curve.measure for curve in comparison.curves}):
            figure = _curves(look, name)
            if figure is not None:
                written += _saved(figure, folder / f"curves-{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')[:80]}")
    return written


def _intervals(look: Lookup) -> Figure:
    from matplotlib.figure import Figure

    measures = [m for m in look.measures if any(name == m.name for _, name in look.differences)]
    arms = [arm.label for arm in look.arms if any(label == arm.label for label, _ in look.differences)]
    columns = min(len(measures), 2)
    lines = math.ceil(len(measures) / columns)
    figure = Figure(figsize=(COLUMN * columns, (0.75 + 0.2 * len(arms)) * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True).flatten().tolist()
    axes[0].set_yticks(range(len(arms)), [short_label(label) for label in arms])
    axes[0].set_ylim(len(arms) - 0.4, -0.6)
    for axis, measure in zip(axes, measures, strict=False):
        found = [(place, look.differences.get((label, measure.name))) for place, label in enumerate(arms)]
        _draw_intervals(axis, look, measure, [(place, d) for place, d in found if d is not None])
    for axis in axes[len(measures) :]:
        axis.set_visible(False)
    return figure


def _draw_intervals(axes: Axes, look: Lookup, measure: Measure, rows: Sequence[tuple[int, Difference]]) -> None:
    axes.axvline(0, color="0.6", linewidth=0.7, zorder=0)
    for place, difference in rows:
        colour, marker = VERDICTS.get(difference.verdict, VERDICTS["unknown"])
        ends = [
            (difference.bootstrap_low, difference.bootstrap_high, 0.25, 0.6),
            (difference.low, difference.high, 0, 1.6),
        ]
        for low, high, below, width in ends:
            if low is not None and high is not None:
                scaled = [low * measure.factor, high * measure.factor]
                axes.plot(scaled, [place + below] * 2, color=colour, linewidth=width, solid_capstyle="butt")
        face = "white" if difference.verdict == "open" else colour
        axes.plot(
            difference.estimate * measure.factor,
            place,
            marker=marker,
            color=colour,
            markerfacecolor=face,
            markersize=4.5,
        )
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=5)
    axes.spines["left"].set_visible(False)
    better = "right" if measure.higher_is_better else "left"
    unit = f" ({difference_unit(measure)})" if measure.unit else ""
    axes.set_xlabel(f"difference to {short_label(look.comparison.baseline)}{unit}; better to the {better}")
    axes.set_title(titled(measure), loc="left")


def _curves(look: Lookup, name: str) -> Figure | None:
    from matplotlib.figure import Figure

    curves = [curve for curve in look.comparison.curves if curve.measure == name]
    axis = next((axis for axis in ("steps", "tokens", "flops", "seconds") if lines_of(curves, axis)), None)
    if axis is None:
        return None
    lines, measure = lines_of(curves, axis), look.measure(name)
    largest = max(x for line in lines for seed in line.seeds for x, _ in seed)
    divisor, unit = axis_unit(axis, largest)
    height = max(CURVES_HEIGHT, 0.6 + LINE * len(lines))
    figure = Figure(figsize=(COLUMN * 1.3, height), layout="constrained")
    axes = figure.subplots()
    for line in lines:
        colour, dash = _line_style(look.number(line.arm))
        for points in [*line.seeds, line.mean]:
            thick = points is line.mean
            xs, ys = [x / divisor for x, _ in points], [y * measure.factor for _, y in points]
            axes.plot(
                xs,
                ys,
                color=colour,
                linestyle=dash,
                linewidth=1.3 if thick else 0.4,
                alpha=1 if thick else 0.5,
            )
    scale = visible_range(lines, measure)
    axes.locator_params(nbins=5)
    _name_lines(axes, look, lines, scale, LINE / (height - 0.5))
    axes.set(
        xlabel=unit,
        ylabel=titled(measure),
        xlim=(0, largest / divisor),
        ylim=(scale.low * measure.factor, scale.high * measure.factor),
    )
    return figure


def _name_lines(axes: Axes, look: Lookup, lines: Sequence[Lines], scale: Scale, gap: float) -> None:
    """Write the arms' labels at the ends of their lines, one below the other."""
    ends = sorted([((line.mean or line.seeds[0])[-1][1], line.arm) for line in lines], reverse=True)
    tops = spread([(scale.high - value) / (scale.high - scale.low) for value, _ in ends], gap, 1.0)
    for top, (_, arm) in zip(tops, ends, strict=True):
        colour, dash = _line_style(look.number(arm))
        place: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
        axes.plot([1.015, 1.04], [1 - top, 1 - top], color=colour, linestyle=dash, linewidth=1.6, **place)
        axes.text(1.055, 1 - top, short_label(arm), verticalalignment="center", **place)


def _line_style(number: int) -> tuple[str, str]:
    return COLOURS[number % len(COLOURS)], ["-", "--", ":"][number // len(COLOURS) % 3]


def _saved(figure: Figure, stem: Path) -> list[Path]:
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")]
    figure.savefig(paths[0], dpi=200)
    figure.savefig(paths[1], metadata={"Date": None})  # the same bytes on each day
    return paths


def short_label(label: str) -> str:
    """Return a label that fits into a figure."""
    return label if len(label) <= 28 else f"{label[:27]}…"
