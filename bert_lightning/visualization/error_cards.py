"""Show single examples that a model predicts badly: the text, the gold answer, and what the model says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bert_lightning.errors import UserError
from bert_lightning.html_page.markup import Markup, element, isolated, note
from bert_lightning.html_page.number_formats import MISSING, sortable
from bert_lightning.html_page.sortable_table import details
from bert_lightning.runs.predictions_file import Predictions

OPEN = 8  # cards that are open at first
LONGEST = 600  # characters of a text
Inputs = Mapping[str, Any]
Found = TypeVar("Found")


@dataclass(frozen=True)
class ErrorCard:
    """One example: its text, facts about it, and rows such as the right and the predicted answer."""

    name: str
    text: Sequence[Markup]
    rows: Sequence[tuple[str, Markup]]
    facts: Sequence[str] = ()


def error_cards(cards: Sequence[ErrorCard], most: int, order: str) -> list[Markup]:
    """Return the cards, the first ones open.

    Args:
        cards: the cards, the worst first.
        most: the number of cards to show.
        order: what comes first, for the line below the cards.
    """
    if not cards:
        return [note("No example is wrong.")]
    shown = [_card(card) for card in cards[:most]]
    parts = [element("div", shown[:OPEN], class_="cards")]
    if len(shown) > OPEN:
        parts.append(details(f"{len(shown) - OPEN} more", element("div", shown[OPEN:], class_="cards")))
    left = f" {len(cards) - most:,} further ones are left out." if len(cards) > most else ""
    return [*parts, note(f"{order}{left}")]


def checked_rows(predictions: Predictions, read: Callable[[Mapping[str, Any]], Found]) -> list[Found]:
    """Return what `read` makes of each row.

    Raises:
        UserError: if a row lacks a value, or has one of another kind.
    """
    found = []
    for row in predictions.rows:
        try:
            found.append(read(row))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            reason = " ".join(str(error).split())[:80]
            raise UserError(
                f"{predictions.path}: the row with id {row['id'][:40]!r} cannot be read ({reason}): measure the run "
                "again with bert-lightning evaluate"
            ) from None
    return found


def texts_of(inputs: Inputs | None) -> list[Markup]:
    """Return the texts of an example as paragraphs."""
    if not inputs:
        return [element("p", element("span", "The text is not at hand.", class_="soft"), class_="text")]
    return [
        element("p", shortened_text(part), class_="text", dir="auto")
        for part in inputs.values()
        if isinstance(part, str)
    ]


def shortened_text(text: str) -> str:
    """Return the beginning of a long text."""
    return text[:LONGEST] + (" …" if len(text) > LONGEST else "")


def probability_bar(label: str, probability: float | None) -> Markup:
    """Return a label with its probability, in writing and as a bar."""
    if probability is None:
        return isolated(label)
    bar = element("span", class_="bar", style=f"--p:{min(max(probability, 0), 1):.3f}", aria_hidden="true")
    return element("span", bar, isolated(label), element("span", f" {100 * probability:.1f} %", class_="soft"))


def _card(card: ErrorCard) -> Markup:
    rows = [element("tr", element("th", head, scope="row"), element("td", content)) for head, content in card.rows]
    facts = [element("span", fact) for fact in (*card.facts, card.name)]
    return element(
        "article",
        card.text,
        element("p", facts, class_="meta"),
        element("table", element("caption", "answers", class_="unseen"), element("tbody", rows)),
        class_="card",
    )


def percent(part: float, whole: float, digits: int = 1) -> str:
    """Return a share in percent; a dash if the whole is 0."""
    return f"{100 * part / whole:.{digits}f} %" if whole else MISSING


def share_key(part: float, whole: float) -> str:
    """Return what a share is sorted by."""
    return sortable(part / whole if whole else None)
