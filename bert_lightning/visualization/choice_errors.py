"""The errors of other tasks: choices among texts, minimal pairs, and task types of the user's own."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping
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
    share_key,
    texts_of,
)
from bert_lightning.visualization.page_part import PagePart


def choice_errors(predictions: Predictions, inputs: Mapping[str, Inputs], most: int) -> PagePart:
    """Return the section about choices among several texts."""
    rows = checked_rows(predictions, _choice_row)
    wrong = [row for row in rows if row[1] != row[2]]
    wrong.sort(key=lambda row: (row[3][row[1]], row[0]))
    cards = [_choice_card(*row, inputs.get(row[0])) for row in wrong]
    return _part(len(wrong), len(rows), cards, most, "The least likely gold choice comes first.")


def minimal_pair_errors(predictions: Predictions, inputs: Mapping[str, Inputs], most: int) -> PagePart:
    """Return the sections about minimal pairs: the accuracy of each phenomenon, and the worst pairs."""
    rows = checked_rows(predictions, _pair_row)
    groups: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        groups[row[3]].append(row[4])
    columns = [Column("phenomenon"), Column("pairs", True), Column("accuracy", True)]
    entries: list[list[Entry]] = [
        [name, f"{len(right):,}", (percent(sum(right), len(right)), share_key(sum(right), len(right)))]
        for name, right in sorted(groups.items(), key=lambda group: (sum(group[1]) / len(group[1]), group[0]))
    ]
    wrong = sorted((row for row in rows if row[4] < 1), key=lambda row: (row[1] - row[2], row[0]))
    cards = [_pair_card(name, good, bad, inputs.get(name)) for name, good, bad, _, _ in wrong]
    part = _part(len(wrong), len(rows), cards, most, "The largest preference for the bad sentence comes first.")
    table = [data_table("Accuracy by phenomenon", columns, entries, "phenomena")]
    return PagePart([Section("phenomena", "Phenomena", table), *part.sections], part.sentences)


def other_errors(predictions: Predictions, inputs: Mapping[str, Inputs], most: int) -> PagePart:
    """Return the section about any other predictions. A prediction is wrong if it differs from the gold answer."""
    rows = checked_rows(predictions, lambda row: (row["id"], row["gold"], row["prediction"]))
    wrong = sorted((row for row in rows if row[1] != row[2]), key=lambda row: str(row[0]))
    cards = [
        ErrorCard(name, texts_of(inputs.get(name)), [("gold", _plain(gold)), ("predicted", _plain(found))])
        for name, gold, found in wrong
    ]
    return _part(len(wrong), len(rows), cards, most, "They are in the order of their ids.")


def _part(wrong: int, count: int, cards: list[ErrorCard], most: int, order: str) -> PagePart:
    sentence = f"{wrong:,} of {plural(count, 'example')} are wrong: {percent(count - wrong, count)} are right."
    return PagePart([Section("errors", "Worst errors", error_cards(cards, most, order))], [sentence])


def _choice_row(row: Mapping[str, Any]) -> tuple[str, int, int, list[float]]:
    gold, found, scores = int(row["gold"]), int(row["prediction"]), [float(score) for score in row["scores"]]
    if not (0 <= gold < len(scores) and 0 <= found < len(scores)):
        raise ValueError("its choices have no scores")
    return row["id"], gold, found, scores


def _choice_card(name: str, gold: int, found: int, scores: list[float], inputs: Inputs | None) -> ErrorCard:
    choices = (inputs or {}).get("choices")
    names = [str(text) for text in choices] if isinstance(choices, list) and len(choices) == len(scores) else []
    shown = names or [f"choice {number + 1}" for number in range(len(scores))]
    rows = [(word, probability_bar(shown[at], scores[at])) for word, at in (("gold", gold), ("predicted", found))]
    return ErrorCard(name, texts_of(inputs), rows, [f"loss {number(-math.log(max(scores[gold], 1e-12)))}"])


def _pair_row(row: Mapping[str, Any]) -> tuple[str, float, float, str, float]:
    scores = row["scores"]
    return row["id"], float(scores["good"]), float(scores["bad"]), str(row["phenomenon"]), float(row["correct"])


def _pair_card(name: str, good: float, bad: float, inputs: Inputs | None) -> ErrorCard:
    rows = []
    for side, score in (("good", good), ("bad", bad)):
        text = str((inputs or {}).get(side, ""))
        likelihood = element("span", f" log-likelihood {number(score, 1)}", class_="soft")
        rows.append((side, element("span", isolated(text), likelihood)))
    return ErrorCard(name, [] if inputs else texts_of(None), rows, [f"difference {number(good - bad, 1)}"])


def _plain(value: Any) -> Markup:
    return isolated(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)[:200])
