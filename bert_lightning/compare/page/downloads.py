"""Offer the data of a comparison as CSV and JSON: links that hold the data themselves and work without JavaScript."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from bert_lightning.compare.results import Cell, Comparison, Curve, Difference
from bert_lightning.html_page.drawing import MAX_POINTS
from bert_lightning.html_page.markup import Markup, element, note

CURVE_POINTS = 10_000  # of all curves together: browsers refuse links of more than 2 MB


def downloads_section(comparison: Comparison) -> list[Markup]:
    """Return the links and what they hold."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", comparison.title).strip("-").lower()[:60] or "comparison"
    thin = [_thin_curve(curve, _points_each(comparison.curves)) for curve in comparison.curves]
    files = [
        (
            "values.csv",
            "text/csv",
            _csv(values_table(comparison.cells)),
            "one row for each arm, measure and seed",
        ),
        (
            "differences.csv",
            "text/csv",
            _csv(differences_table(comparison.differences)),
            "one row for each arm and measure",
        ),
        (
            "comparison.json",
            "application/json",
            _json(dataclasses.replace(comparison, curves=thin)),
            "everything on this page",
        ),
    ]
    items = [
        element(
            "li",
            element("a", file, href=_link(kind, text), download=f"{name}-{file}"),
            f" {explanation}, {_size(text)}",
        )
        for file, kind, text, explanation in files
    ]
    thinned = any(len(a.values) > len(b.values) for a, b in zip(comparison.curves, thin, strict=True))
    rest = [note("Curves are thinned to the points of the plots; the run folders have all.")] if thinned else []
    return [element("ul", items, class_="downloads"), *rest]


def values_table(cells: Iterable[Cell]) -> list[list[Any]]:
    """Return the values of all seeds as rows, with a first row of names."""
    rows: list[list[Any]] = [["arm", "measure", "seed", "finetuning_seed", "value"]]
    for cell in cells:
        for seed in cell.values:
            for finetuning_seed, value in seed.finetuned.items() or [("", seed.value)]:
                rows.append([cell.arm, cell.measure, seed.seed, finetuning_seed, value])
    return rows


def differences_table(differences: Sequence[Difference]) -> list[list[Any]]:
    """Return the differences as rows, with a first row of names."""
    names = [field.name for field in dataclasses.fields(Difference)]
    return [names, *[[getattr(difference, name) for name in names] for difference in differences]]


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows([["" if cell is None else _harmless(cell) for cell in row] for row in rows])
    return file.getvalue()


def _harmless(cell: Any) -> Any:
    """Return a cell that a spreadsheet does not take for a formula. Python 3.10 cannot write NUL."""
    if not isinstance(cell, str):
        return cell
    cell = cell.replace("\0", "")
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _json(comparison: Comparison) -> str:
    return json.dumps(_finite(dataclasses.asdict(comparison)), separators=(",", ":"), default=str)


def _finite(value: Any) -> Any:
    """Return the value with null for numbers that JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _points_each(curves: Sequence[Curve]) -> int:
    return min(MAX_POINTS, max(2, CURVE_POINTS // max(len(curves), 1)))


def _thin_curve(curve: Curve, limit: int) -> Curve:
    count = len(curve.values)
    kept = (
        sorted({round(index * (count - 1) / (limit - 1)) for index in range(limit)}) if count > limit else range(count)
    )

    def thinned(values: Sequence[float]) -> list[float]:
        return [float(f"{values[index]:.6g}") for index in kept if index < len(values)]

    return dataclasses.replace(
        curve,
        values=thinned(curve.values),
        steps=thinned(curve.steps),
        tokens=thinned(curve.tokens),
        flops=thinned(curve.flops),
        seconds=thinned(curve.seconds),
    )


def _link(kind: str, text: str) -> str:
    return f"data:{kind};charset=utf-8;base64,{base64.b64encode(text.encode('utf-8', 'replace')).decode()}"


def _size(text: str) -> str:
    size = len(text.encode("utf-8", "replace"))
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(size / 1e3, 0.1):.0f} kB"
