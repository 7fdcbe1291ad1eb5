"""The errors of embeddings that rank texts: the queries whose relevant documents are ranked lowest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bert_lightning.data.labelled.task_types import content_hash
from bert_lightning.html_page.markup import Markup, element, isolated
from bert_lightning.html_page.number_formats import number, plural
from bert_lightning.html_page.self_contained import Section
from bert_lightning.runs.predictions_file import Predictions
from bert_lightning.visualization.error_cards import (
    ErrorCard,
    Inputs,
    checked_rows,
    error_cards,
    percent,
    shortened_text,
    texts_of,
)
from bert_lightning.visualization.page_part import PagePart

_SHOWN = 3  # documents of a query
Ranking = tuple[str, list[str], list[str], list[float]]  # the query, its relevant documents, the ranked ones, cosines


def ranking_errors(predictions: Predictions, inputs: Mapping[str, Inputs], most: int) -> PagePart:
    """Return the section about queries whose first document is not relevant."""
    rows = checked_rows(predictions, _ranking_row)
    texts = {
        content_hash(parts["positive"]): str(parts["positive"]) for parts in inputs.values() if "positive" in parts
    }
    wrong = sorted((row for row in rows if _place(row) > 1), key=lambda row: (-_place(row), row[0]))
    cards = [_card(row, inputs.get(row[0]), texts) for row in wrong]
    order = "The queries whose first relevant document is ranked lowest come first. Ten documents are kept of each."
    right = percent(len(rows) - len(wrong), len(rows))
    sentence = (
        f"The first document is relevant for {right} of {plural(len(rows), 'query').replace('querys', 'queries')}."
    )
    return PagePart([Section("errors", "Worst rankings", error_cards(cards, most, order))], [sentence])


def _ranking_row(row: Mapping[str, Any]) -> Ranking:
    gold, found, scores = row["gold"], row["prediction"], [float(score) for score in row["scores"]]
    if not isinstance(gold, dict) or not isinstance(found, list) or len(found) != len(scores):
        raise ValueError("it is no ranking")
    return row["id"], [str(name) for name, grade in gold.items() if float(grade) > 0], [str(n) for n in found], scores


def _place(row: Ranking) -> int:
    """Return the place of the first relevant document, or the place after those that are kept."""
    _, gold, found, _ = row
    return next((place for place, name in enumerate(found, 1) if name in gold), len(found) + 1)


def _card(row: Ranking, inputs: Inputs | None, texts: Mapping[str, str]) -> ErrorCard:
    name, gold, found, scores = row
    asked = {key: part for key, part in (inputs or {}).items() if key in ("anchor", "query")}
    place = _place(row)
    rows = [("gold", _document(document, texts)) for document in gold[:_SHOWN]]
    for rank, (document, score) in enumerate(zip(found[:_SHOWN], scores, strict=False), 1):
        cosine = element("span", f" {number(score)}", class_="soft")
        rows.append((f"rank {rank}", element("span", _document(document, texts), cosine)))
    said = f"first relevant at rank {place}" if place <= len(found) else f"none relevant among the first {len(found)}"
    return ErrorCard(name, texts_of(asked), rows, [said])


def _document(name: str, texts: Mapping[str, str]) -> Markup:
    return isolated(shortened_text(texts.get(name, name)))
