"""The errors of a classifier of texts: the confusion matrix, and the examples with the highest loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bert_lightning.html_page.markup import Markup
from bert_lightning.html_page.number_formats import MISSING, number, plural
from bert_lightning.html_page.self_contained import Section
from bert_lightning.runs.predictions_file import Predictions
from bert_lightning.visualization.confusion_matrix import confusion_parts, count_pairs, most_frequent_confusion
from bert_lightning.visualization.error_cards import (
    ErrorCard,
    Inputs,
    checked_rows,
    error_cards,
    percent,
    probability_bar,
    texts_of,
)
from bert_lightning.visualization.page_part import PagePart

_SMALLEST = 1e-12  # a probability of 0 in the file is a rounded one


@dataclass(frozen=True)
class ClassRow:
    """One prediction: its gold class, its predicted class, and their probabilities, which may be unknown."""

    name: str
    gold: str
    found: str
    gold_probability: float | None = None
    found_probability: float | None = None

    @property
    def loss(self) -> float:
        """The negative log-likelihood of the gold class; the lowest number if it is unknown."""
        known = self.gold_probability
        return -math.inf if known is None else -math.log(max(known, _SMALLEST))


def class_errors(predictions: Predictions, inputs: Mapping[str, Inputs], most: int) -> PagePart:
    """Return the sections about a classifier of texts or of pairs of texts."""
    rows = checked_rows(predictions, _class_row)
    labels = all_labels(predictions, [(row.gold, row.found) for row in rows])
    counts = count_pairs(labels, [(row.gold, row.found) for row in rows])
    wrong = sorted((row for row in rows if row.gold != row.found), key=lambda row: (-row.loss, row.name))
    cards = [_card(row, inputs.get(row.name)) for row in wrong]
    order = "The loss is the negative natural logarithm of the probability of the gold class. The highest comes first."
    sections = [
        Section("confusion", "Confusion", confusion_parts(labels, counts)),
        Section("errors", "Worst errors", error_cards(cards, most, order)),
    ]
    sentence = f"{len(wrong):,} of {plural(len(rows), 'example')} are wrong: the accuracy is "
    sentence += f"{percent(len(rows) - len(wrong), len(rows))}."
    if most_frequent := most_frequent_confusion(labels, counts):
        gold, found, count = most_frequent
        sentence += f" Most often “{gold}” is taken for “{found}”: {count:,} times."
    return PagePart(sections, [sentence])


def all_labels(predictions: Predictions, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return the classes in the order of the task, and then those that only the rows have."""
    given = predictions.about.get("labels")
    known = [label for label in given if isinstance(label, str)] if isinstance(given, list) else []
    return list(dict.fromkeys([*known, *sorted({label for pair in pairs for label in pair})]))


def _class_row(row: Mapping[str, Any]) -> ClassRow:
    gold, found, scores = row["gold"], row["prediction"], row.get("scores")
    if not isinstance(gold, str) or not isinstance(found, str):
        raise ValueError("its classes are no texts")
    if not isinstance(scores, dict):
        return ClassRow(row["id"], gold, found)
    values = [None if scores.get(label) is None else float(scores[label]) for label in (gold, found)]
    return ClassRow(row["id"], gold, found, *values)


def _card(row: ClassRow, inputs: Inputs | None) -> ErrorCard:
    rows: list[tuple[str, Markup]] = [
        ("gold", probability_bar(row.gold, row.gold_probability)),
        ("predicted", probability_bar(row.found, row.found_probability)),
    ]
    loss = MISSING if row.gold_probability is None else number(row.loss)
    return ErrorCard(row.name, texts_of(inputs), rows, [f"loss {loss}"])
