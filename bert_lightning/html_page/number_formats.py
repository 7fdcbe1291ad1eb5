"""Write numbers for readers: counts, durations, probabilities. A missing number is a dash."""

from __future__ import annotations

import math
import re

MISSING = "\u2013"  # an en dash
MINUS = "\u2212"
_SI = [(1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")]
FIGURE_SPACE = "\u2007"  # as wide as a digit: pads numbers without moving the decimal point


def known(number: float | None) -> bool:
    """Return whether there is a finite number."""
    return number is not None and math.isfinite(number)


def compact(number: float | None, digits: int = 3) -> str:
    """Return a large number with an SI prefix: `4.39 M`."""
    if number is None or not math.isfinite(number):
        return MISSING
    for size, prefix in _SI:
        if abs(number) >= size:
            return f"{_significant(number / size, digits)} {prefix}"
    return _significant(number, digits)


def duration(seconds: float | None) -> str:
    """Return a time in the unit that suits it: `48 s`, `12.5 min`, `3.2 h`."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def probability(p: float | None) -> str:
    """Return a p-value with three decimals."""
    if p is None or not math.isfinite(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def number(value: float | None, decimals: int = 2) -> str:
    """Return a plain number."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:.{decimals}f}".replace("-", MINUS)


def sortable(value: float | None) -> str:
    """Return the number that a cell is sorted by. It is empty where there is none, and such cells stay last."""
    return "" if value is None or not math.isfinite(value) else f"{value:.10g}"


def typeset(text: str) -> str:
    """Return a sentence with minus signs in place of hyphens before numbers, and no line break before a percent."""
    return re.sub(r"(?<=[\s(\[])-(?=\d)", MINUS, text).replace(" %", "\u00a0%")


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: `1 seed`, `3 seeds`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _significant(value: float, digits: int) -> str:
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{decimals}f}".replace("-", MINUS)
