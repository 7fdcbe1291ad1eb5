"""Draw in SVG with lengths in percent, so that a plot has any width and its text keeps its size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bert_lightning.html_page.markup import Markup, element
from bert_lightning.html_page.number_formats import MINUS

MAX_POINTS = 300  # of one curve


@dataclass(frozen=True)
class Scale:
    """A linear scale from values to percent of the plot's width, or to thousandths of a curve's box."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Iterable[float | None], margin: float = 0.06) -> Scale:
        """Return a scale that has all values and a margin on both sides."""
        finite = [value for value in values if value is not None and math.isfinite(value)]
        low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
        room = (high - low) * margin or abs(high) * margin or 1.0
        return cls(low - room, high + room)

    def percent(self, value: float) -> float:
        """Return the place of a value, in percent and within the plot."""
        return round(min(max((value - self.low) / (self.high - self.low), 0.0), 1.0) * 100, 2)

    def ticks(self, count: int = 4) -> list[float]:
        """Return about `count` round values within the scale."""
        step = _round_step((self.high - self.low) / max(count, 1))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def tick_labels(ticks: Sequence[float], signed: bool = False) -> list[str]:
    """Return tick values with as many decimals as their step needs."""
    step = min((b - a for a, b in pairwise(ticks)), default=abs(ticks[0]) if ticks else 1.0) or 1.0
    decimals = min(max(0, -math.floor(math.log10(step) + 1e-9)), 12)
    texts = [f"{tick:{'+' if signed else ''},.{decimals}f}" for tick in ticks]
    return [text.replace("-", MINUS) if text.strip("+-0.,") else "0" for text in texts]


def upright(x: float, css: str) -> Markup:
    """Return an upright line over the whole height, at `x` percent."""
    return element("line", x1=f"{x}%", x2=f"{x}%", y1="0", y2="100%", class_=css)


def level(x1: float, x2: float, y: float, css: str) -> Markup:
    """Return a level line between two places in percent."""
    return element("line", x1=f"{x1}%", x2=f"{x2}%", y1=y, y2=y, class_=css)


def placed(x: float, y: float, shape: Markup, css: str) -> Markup:
    """Return a shape that is drawn around the origin, moved to `x` percent and `y` pixels."""
    return element("svg", shape, x=f"{x}%", y=y, overflow="visible", class_=css)


def thinned(points: Sequence[tuple[float, float]], limit: int = MAX_POINTS) -> list[tuple[float, float]]:
    """Return at most `limit` points of a curve: the lowest and the highest of each stretch, so that peaks stay."""
    if len(points) <= limit:
        return list(points)
    kept = [points[0]]
    stretches = max((limit - 2) // 2, 1)
    inner = points[1:-1]
    for index in range(stretches):
        stretch = inner[index * len(inner) // stretches : (index + 1) * len(inner) // stretches]
        if stretch:
            extremes = {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
            kept += sorted(extremes)
    return [*kept, points[-1]]


def path(points: Sequence[tuple[float, float]], x: Scale, y: Scale, css: str) -> Markup:
    """Return a curve in a box of 1000 x 1000, whose y axis points up. It may leave the box, which clips it."""
    places = [
        (round((a - x.low) / (x.high - x.low) * 1000), round((y.high - b) / (y.high - y.low) * 1000)) for a, b in points
    ]
    kept = [place for index, place in enumerate(places) if index == 0 or place != places[index - 1]]
    return element("path", d="M" + " ".join(f"{a} {max(-9999, min(b, 9999))}" for a, b in kept), class_=css)


def _round_step(step: float) -> float:
    if not step > 0 or not math.isfinite(step):
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return power * next(factor for factor in (1, 2, 5, 10) if step <= factor * power * (1 + 1e-9))
