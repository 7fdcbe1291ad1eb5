"""The predicted tokens of a text: how surprising each token is, and what the model expects in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bert_lightning.html_page.markup import Markup, element, isolated, joined, note
from bert_lightning.html_page.number_formats import MISSING, number, sortable
from bert_lightning.html_page.sortable_table import Column, Entry, data_table

STRONGEST = 12.0  # bits of surprisal with the strongest colour, on every page

Row = Mapping[str, Any]


def token_parts(rows: Sequence[Row]) -> list[Markup]:
    """Return the text with its surprisal as colour, and a table of all places.

    Args:
        rows: what `LoadedModel.token_predictions` returns.
    """
    line = element("p", joined(_with_spaces([_token(row) for row in rows])), class_="tokens surprisal", dir="auto")
    reading = element("p", "Point at a token to see what the model expects in its place.", class_="reading note")
    total = sum(row["bits"] for row in rows if row["bits"] is not None)
    known = [row for row in rows if row["bits"] is not None]
    facts = [
        element("span", f"{len(rows)} tokens"),
        element("span", f"{number(total, 1)} bits of surprisal together") if known else None,
        element("span", f"{number(total / len(known), 2)} bits a token") if known else None,
    ]
    return [
        element("p", [fact for fact in facts if fact], class_="facts"),
        element("div", line, reading, class_="reader"),
        data_table("Predicted tokens", _columns(), [_entries(row) for row in rows], "predicted"),
        note(
            "Each token is masked alone, and predicted from all others. Surprisal is the negative logarithm of the "
            f"token's probability, to base 2. The strongest colour is {STRONGEST:g} bits or more. The sum is the "
            "pseudo-log-likelihood of Salazar et al. 2020, in bits and without its sign. Where the rest of a word is "
            "visible, its pieces are easy to predict."
        ),
    ]


def most_surprising(rows: Sequence[Row]) -> str:
    """Return a sentence about the token with the highest surprisal, or about the first [MASK]."""
    masked = [row for row in rows if row["bits"] is None]
    if masked:
        best = masked[0]["predictions"][0]
        return f"{masked[0]['token']} is most likely “{best['word']}” ({_percent(best['probability'])})."
    row = max(rows, key=lambda row: float(row["bits"]))
    expected = row["predictions"][0]["word"]
    also = ", although it is the likeliest" if expected == row["token"] else f"; the model expects “{expected}”"
    return f"The most surprising token is “{row['token']}”: {number(row['bits'], 1)} bits{also}."


def _columns() -> list[Column]:
    return [
        Column("token"),
        Column("place", True),
        Column("probability", True),
        Column("surprisal, bits", True),
        Column("expected in its place"),
    ]


def _entries(row: Row) -> list[Entry]:
    bits, chance = row["bits"], row["probability"]
    chips = [_chip(word, row["token"]) for word in row["predictions"]]
    return [
        (element("b", isolated(row["token"])), row["token"]),
        str(row["position"]),
        (_percent(chance), sortable(chance)),
        (element("span", number(bits, 2), class_="bits", style=_strength(bits)), sortable(bits)),
        (joined(chips), row["predictions"][0]["word"]),
    ]


def _chip(word: Row, token: str) -> Markup:
    css = "chip right" if word["word"] == token else "chip"
    share = element("span", f" {_percent(word['probability'])}", class_="soft")
    return element("span", isolated(word["word"]), share, class_=css)


def _token(row: Row) -> Markup:
    words = ", ".join(f"{word['word']} {_percent(word['probability'])}" for word in row["predictions"])
    known = row["bits"] is not None
    own = f"{row['token']}: {number(row['bits'], 1)} bits, {_percent(row['probability'])}" if known else row["token"]
    strength, title = _strength(row["bits"]), f"{own}. Expected: {words}"
    return element("span", row["token"], class_="token", style=strength, title=title, tabindex="0")


def _strength(bits: float | None) -> str | None:
    return None if bits is None else f"--d:{min(bits / STRONGEST, 1):.2f}"


def _percent(probability: float | None) -> str:
    if probability is None:
        return MISSING
    return "< 0.1 %" if probability < 0.001 else f"{100 * probability:.1f} %"


def _with_spaces(parts: Sequence[Markup]) -> list[str]:
    return [part for each in parts for part in (each, " ")]
