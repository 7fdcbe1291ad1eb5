"""The errors of a regression: predicted over gold values as a plot, and the examples with the largest residuals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from bert_lightning.html_page.drawing import Scale
from bert_lightning.html_page.markup import element, note
from bert_lightning.html_page.number_formats import MINUS, MISSING, number, plural
from bert_lightning.html_page.self_contained import Section
from bert_lightning.runs.predictions_file import Predictions
from bert_lightning.visualization.error_cards import ErrorCard, Inputs, checked_rows, error_cards, texts_of
from bert_lightning.visualization.page_part import PagePart
from bert_lightning.visualization.scatter import Point, scatter_plot

_FITTED = (
    "The model predicts cosines. A linear fit by least squares puts them on the scale of the gold values, here and "
    "below. On the diagonal, both are equal."
)


def similarity_errors(predictions: Predictions, inputs: Mapping[str, Inputs], most: int) -> PagePart:
    """Return the sections about similarities. They are cosines, which a linear fit puts on the scale of the values."""
    return number_errors(predictions, inputs, most, fit=True)


def number_errors(predictions: Predictions, inputs: Mapping[str, Inputs], most: int, fit: bool = False) -> PagePart:
    """Return the sections about a regression.

    Args:
        predictions: the predictions.
        inputs: the inputs of the examples by their ids, as far as they are at hand.
        most: the number of errors to show.
        fit: whether predictions have another scale than the gold values, so that a linear fit is applied first.
    """
    rows = checked_rows(predictions, _number_row)
    gold, found = (np.array([row[place] for row in rows], np.float64) for place in (1, 2))
    if fit and found.std() > 0:
        found = np.asarray(np.polyval(np.polyfit(found, gold, 1), found), np.float64)
        rows = [(name, value, float(fitted)) for (name, value, _), fitted in zip(rows, found, strict=True)]
    residuals = found - gold
    points = [
        Point(x, y, 0, f"gold {number(x)}, predicted {number(y)}: {_title(inputs.get(name))}") for name, x, y in rows
    ]
    scale = Scale.around([*gold, *found], margin=0.04)
    plot = scatter_plot("residuals", points, scale, scale, ("gold value", "predicted value"), diagonal=True)
    worst = sorted(range(len(rows)), key=lambda index: (-abs(residuals[index]), rows[index][0]))
    cards = [_card(*rows[index], inputs.get(rows[index][0])) for index in worst if residuals[index]]
    order = "The largest difference between the predicted and the gold value comes first."
    correlation = _correlation(gold, found)
    error = float(np.abs(residuals).mean())
    sections = [
        Section(
            "residuals",
            "Predicted and gold values",
            [plot, note(_FITTED if fit else "On the diagonal, both are equal.")],
        ),
        Section("errors", "Worst errors", error_cards(cards, most, order)),
    ]
    words = (
        f"The mean absolute error of {plural(len(rows), 'example')} is {number(error)}; the correlation of predicted "
        f"and gold values is {number(correlation)}."
    )
    return PagePart(sections, [words])


def _number_row(row: Mapping[str, Any]) -> tuple[str, float, float]:
    gold, found = float(row["gold"]), float(row["prediction"])
    if not (math.isfinite(gold) and math.isfinite(found)):
        raise ValueError("its values are not finite")
    return row["id"], gold, found


def _card(name: str, gold: float, found: float, inputs: Inputs | None) -> ErrorCard:
    residual = f"{found - gold:+.2f}".replace("-", MINUS)
    rows = [("gold", element("span", number(gold))), ("predicted", element("span", number(found)))]
    return ErrorCard(name, texts_of(inputs), rows, [f"residual {residual}"])


def _correlation(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> float | None:
    return float(np.corrcoef(x, y)[0, 1]) if len(x) > 1 and x.std() > 0 and y.std() > 0 else None


def _title(inputs: Inputs | None) -> str:
    return " | ".join(str(part) for part in inputs.values())[:160] if inputs else MISSING
