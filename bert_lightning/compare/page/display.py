"""Display values and differences in the unit of their measure."""

from __future__ import annotations

import math

from bert_lightning.compare.results import Cell, Difference, Measure
from bert_lightning.html_page.number_formats import FIGURE_SPACE, MINUS, MISSING, known


def shown(value: float | None, measure: Measure, signed: bool = False) -> str:
    """Return a value as its measure displays it, without the unit."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value * measure.factor:{'+' if signed else ''}.{max(measure.decimals, 0)}f}"
    if float(text) == 0:
        text = (FIGURE_SPACE if signed else "") + text.lstrip("+-")
    return text.replace("-", MINUS)


def half_width(cell: Cell) -> float | None:
    """Return half the width of a cell's interval, or None if it has none that reaches as far on both sides."""
    if cell.low is None or cell.high is None or not (known(cell.low) and known(cell.high)):
        return None
    half = (cell.high - cell.low) / 2
    return half if abs((cell.high + cell.low) / 2 - cell.mean) <= 0.02 * half else None


def interval(difference: Difference, measure: Measure) -> str:
    """Return the interval of a difference as `[low, high]`."""
    if not (known(difference.low) and known(difference.high)):
        return "no interval"
    return f"[{shown(difference.low, measure, True)}, {shown(difference.high, measure, True)}]"


def titled(measure: Measure) -> str:
    """Return the label of a measure with its unit."""
    label = measure.label or measure.name
    return f"{label} ({measure.unit})" if measure.unit and measure.unit.lower() not in label.lower() else label


def difference_unit(measure: Measure) -> str:
    """Return the unit of a difference: percentage points where values are in %."""
    return "points" if measure.unit == "%" else measure.unit
