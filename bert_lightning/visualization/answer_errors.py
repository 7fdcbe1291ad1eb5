"""The errors of extractive question answering: how many answers fit, and the questions with the lowest F1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bert_lightning.html_page.markup import Markup, element, isolated
from bert_lightning.html_page.number_formats import number, plural
from bert_lightning.html_page.self_contained import Section
from bert_lightning.html_page.sortable_table import Column, Entry, data_table
from bert_lightning.runs.predictions_file import Predictions
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

_AROUND = 140  # characters of the context on each side of an answer


@dataclass(frozen=True)
class AnswerRow:
    """One question: its gold answers, the predicted one with its place and probability, and how well they agree."""

    name: str
    gold: list[str]
    found: str
    start: int
    end: int
    probability: float | None
    exact: float
    f1: float


def answer_errors(predictions: Predictions, inputs: Mapping[str, Inputs], most: int) -> PagePart:
    """Return the sections about answers to questions."""
    unanswerable = any("best_answer" in row for row in predictions.rows)
    rows = checked_rows(predictions, lambda row: _answer_row(row, unanswerable))
    exact = sum(row.exact == 1 for row in rows)
    nothing = sum(row.f1 == 0 for row in rows)
    worst = sorted((row for row in rows if row.f1 < 1), key=lambda row: (row.f1, -(row.probability or 0), row.name))
    cards = [_card(row, inputs.get(row.name)) for row in worst]
    order = "The lowest F1 of words comes first, and of equal ones the answer of which the model is most certain."
    sections = [
        Section("agreement", "Predicted and gold answers", [_counts(rows)]),
        Section("errors", "Worst errors", error_cards(cards, most, order)),
    ]
    sentence = (
        f"{percent(exact, len(rows))} of {plural(len(rows), 'question')} are answered exactly; "
        f"{percent(nothing, len(rows))} of the answers share no word with a gold answer."
    )
    return PagePart(sections, [sentence])


def _answer_row(row: Mapping[str, Any], unanswerable: bool) -> AnswerRow:
    from bert_lightning.metrics.squad import question_scores  # imported here, since torchmetrics is slow to import

    gold, found = list(row["gold"]), row["prediction"]
    if not isinstance(found, str) or not all(isinstance(text, str) for text in gold):
        raise ValueError("its answers are no texts")
    exact, f1, _ = question_scores(found, gold, unanswerable or not gold)
    span = row["scores"].get("span")
    place = int(row.get("start", -1)), int(row.get("end", -1))
    return AnswerRow(row["id"], gold, found, *place, None if span is None else float(span), exact, f1)


def _counts(rows: Sequence[AnswerRow]) -> Markup:
    kinds = [
        ("exact", sum(row.exact == 1 for row in rows)),
        ("some words in common", sum(row.exact < 1 and row.f1 > 0 for row in rows)),
        ("no word in common", sum(row.f1 == 0 for row in rows)),
    ]
    entries: list[list[Entry]] = [[kind, f"{count:,}", percent(count, len(rows))] for kind, count in kinds]
    return data_table(
        "Answers", [Column("answers"), Column("questions", True), Column("share", True)], entries, "agreement"
    )


def _card(row: AnswerRow, inputs: Inputs | None) -> ErrorCard:
    right = [element("span", isolated(text), class_="chip") for text in dict.fromkeys(row.gold)]
    rows = [
        ("gold", element("span", right) if right else element("span", "no answer", class_="soft")),
        ("predicted", probability_bar(row.found or "no answer", row.probability if row.found else None)),
    ]
    return ErrorCard(row.name, _text(row, inputs), rows, [f"F1 {number(row.f1)}"])


def _text(row: AnswerRow, inputs: Inputs | None) -> list[Markup]:
    question, context = (inputs or {}).get("question"), (inputs or {}).get("context")
    if not isinstance(question, str) or not isinstance(context, str):
        return texts_of(inputs)
    asked = element("p", element("b", question), class_="text", dir="auto")
    places = [(row.start, row.end, "found")] if 0 <= row.start < row.end else []
    at = next(((context.find(text), text) for text in row.gold if text and text in context), None)
    if at is not None and not any(at[0] < end and start < at[0] + len(at[1]) for start, end, _ in places):
        places.append((at[0], at[0] + len(at[1]), "gold"))
    return [asked, *(_excerpt(context, *place) for place in sorted(places))]


def _excerpt(context: str, start: int, end: int, kind: str) -> Markup:
    before, after = context[max(0, start - _AROUND) : start], context[end : end + _AROUND]
    left, right = "… " * (start > _AROUND), " …" * (end + _AROUND < len(context))
    label = element("span", {"found": "predicted: ", "gold": "gold: "}[kind], class_="soft")
    marked = element("mark", context[start:end], class_=kind)
    return element("p", label, left, before, marked, after, right, class_="text excerpt", dir="auto")
