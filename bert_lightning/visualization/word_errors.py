"""The errors of a tagger: which words, or which named entities, it takes for what, and the worst sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bert_lightning.data.labelled.conll import entities
from bert_lightning.html_page.markup import Markup, element, escaped, isolated, joined
from bert_lightning.html_page.number_formats import number, plural
from bert_lightning.html_page.self_contained import Section
from bert_lightning.runs.predictions_file import Predictions
from bert_lightning.visualization.class_errors import all_labels
from bert_lightning.visualization.confusion_matrix import confusion_parts, count_pairs, most_frequent_confusion
from bert_lightning.visualization.entity_counts import EntityError, entity_errors, entity_table
from bert_lightning.visualization.error_cards import ErrorCard, Inputs, checked_rows, error_cards, percent, texts_of
from bert_lightning.visualization.page_part import PagePart

_CUT = "(cut off)"  # the class of a word beyond the maximal length


@dataclass(frozen=True)
class TaggedRow:
    """The gold and the predicted tags of one sentence."""

    name: str
    gold: list[str]
    found: list[str]


def word_errors(predictions: Predictions, inputs: Mapping[str, Inputs], most: int) -> PagePart:
    """Return the sections about a classifier of words, such as their part of speech."""
    rows = checked_rows(predictions, _tagged_row)
    pairs = [pair for row in rows for pair in zip(row.gold, row.found, strict=True)]
    labels = all_labels(predictions, pairs)
    counts = count_pairs(labels, pairs)
    wrong = [(sum(a != b for a, b in zip(row.gold, row.found, strict=True)), row) for row in rows]
    wrong = sorted((each for each in wrong if each[0]), key=lambda each: (-each[0], each[1].name))
    cards = [_word_card(count, row, inputs.get(row.name)) for count, row in wrong]
    sections = [
        Section("confusion", "Confusion of words", confusion_parts(labels, counts)),
        Section("errors", "Worst sentences", error_cards(cards, most, "The most wrong words come first.")),
    ]
    right = int(counts.diagonal().sum())
    sentence = f"{percent(right, len(pairs))} of {plural(len(pairs), 'word')} are right."
    if most_frequent := most_frequent_confusion(labels, counts):
        sentence += " Most often “{}” is taken for “{}”: {:,} times.".format(*most_frequent)
    return PagePart(sections, [sentence])


def named_entity_errors(predictions: Predictions, inputs: Mapping[str, Inputs], most: int) -> PagePart:
    """Return the sections about a tagger of named entities."""
    rows = checked_rows(predictions, _tagged_row)
    gold, found = (
        [entities(tags) for tags in side] for side in zip(*((row.gold, row.found) for row in rows), strict=True)
    )
    errors = [entity_errors(a, b) for a, b in zip(gold, found, strict=True)]
    right = sum(len(a & b) for a, b in zip(gold, found, strict=True))
    total, predicted = sum(map(len, gold)), sum(map(len, found))
    worst = sorted((pair for pair in zip(errors, rows, strict=True) if pair[0]), key=lambda p: (-len(p[0]), p[1].name))
    cards = [_entity_card(of_row, row, inputs.get(row.name)) for of_row, row in worst]
    sections = [
        Section("confusion", "Confusion of entities", entity_table(gold, found)),
        Section("errors", "Worst sentences", error_cards(cards, most, "The most wrong entities come first.")),
    ]
    f1 = 2 * right / max(total + predicted, 1)
    sentence = f"{right:,} of {total:,} gold entities are found with their type and "
    sentence += f"boundaries, among {predicted:,} predicted ones: the F1 is {number(f1, 3)}."
    return PagePart(sections, [sentence])


def _tagged_row(row: Mapping[str, Any]) -> TaggedRow:
    gold, found = list(row["gold"]), [_CUT if tag is None else tag for tag in row["prediction"]]
    if len(gold) != len(found) or not all(isinstance(tag, str) for tag in (*gold, *found)):
        raise ValueError("its tags are not as many texts as its words")
    return TaggedRow(row["id"], gold, found)


def _word_card(count: int, row: TaggedRow, inputs: Inputs | None) -> ErrorCard:
    words = _words(inputs, len(row.gold))
    wrong = [place for place in range(len(row.gold)) if row.gold[place] != row.found[place]]
    chips = [
        _change(words[place] if words else f"word {place + 1}", row.gold[place], row.found[place]) for place in wrong
    ]
    return ErrorCard(row.name, _marked(words, wrong, inputs), [("wrong", joined(chips))], [plural(count, "wrong word")])


def _entity_card(errors: Sequence[EntityError], row: TaggedRow, inputs: Inputs | None) -> ErrorCard:
    words = _words(inputs, len(row.gold))
    places = sorted({place for error in errors for place in range(error.start, error.end)})
    lines = []
    for error in errors:
        span = " ".join(words[error.start : error.end]) if words else f"words {error.start + 1} to {error.end}"
        lines.append((error.kind, _change(span, error.gold, error.found)))
    return ErrorCard(row.name, _marked(words, places, inputs), lines)


def _change(words: str, gold: str, found: str) -> Markup:
    return element(
        "span",
        isolated(words),
        " ",
        element("span", f"{gold or 'none'} → {found or 'none'}", class_="soft"),
        class_="chip",
    )


def _words(inputs: Inputs | None, count: int) -> list[str]:
    words = (inputs or {}).get("words")
    return [str(word) for word in words] if isinstance(words, list) and len(words) == count else []


def _marked(words: Sequence[str], places: Sequence[int], inputs: Inputs | None) -> list[Markup]:
    if not words:
        return texts_of(inputs)
    chosen = set(places)
    parts = [element("mark", word) if place in chosen else escaped(word) for place, word in enumerate(words)]
    return [element("p", [piece for part in parts for piece in (part, " ")], class_="text", dir="auto")]
