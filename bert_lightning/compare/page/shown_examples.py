"""Show sentences filled in and examples predicted by all arms: those that the arms disagree on come first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from bert_lightning.compare.page.display import titled
from bert_lightning.compare.page.lookup import Lookup
from bert_lightning.compare.results import ComparedExample
from bert_lightning.html_page.markup import Markup, element, escaped, isolated, joined, note, unseen
from bert_lightning.html_page.number_formats import MISSING, number, plural
from bert_lightning.html_page.sortable_table import details

OPEN, MOST = 6, 40  # examples of one measure that are open at first, and that are shown at all
LONGEST = 700  # characters of a text


def examples_section(look: Lookup) -> list[Markup]:
    """Return the examples: filled-in sentences, and then each measure."""
    examples = sorted(look.comparison.examples, key=lambda example: -example.disagreement)
    if not examples:
        return [note("No predictions were kept, so there are no examples to show.")]
    parts: list[Markup] = []
    masked = [example for example in examples if example.masked]
    if masked:
        parts += [element("h3", "Filled in"), *_cards(look, masked)]
    names = [measure.name for measure in look.measures]
    others = {example.measure for example in examples if not example.masked}
    for name in sorted(others, key=lambda name: [*names, name].index(name)):
        own = [example for example in examples if not example.masked and example.measure == name]
        parts += [element("h3", isolated(titled(look.measure(name)))), *_cards(look, own)]
    return parts


def _cards(look: Lookup, examples: Sequence[ComparedExample]) -> list[Markup]:
    cards = [_card(look, example) for example in examples[:MOST]]
    parts = [element("div", cards[:OPEN], class_="cards")]
    if len(cards) > OPEN:
        parts.append(details(f"{len(cards) - OPEN} more", element("div", cards[OPEN:], class_="cards")))
    if len(examples) > MOST:
        parts.append(note(f"{len(examples) - MOST:,} further examples are left out; these disagree most."))
    return parts


def _card(look: Lookup, example: ComparedExample) -> Markup:
    rows = [_prediction(look, arm.label, example) for arm in look.arms if example.predictions.get(arm.label)]
    text = example.text[:LONGEST] + (" …" if len(example.text) > LONGEST else "")
    body = _with_blanks(text) if text else element("span", "The text is not at hand.", class_="soft")
    head = [
        element("span", "gold ", element("b", isolated(example.gold or MISSING))),
        element("span", isolated(example.id)),
        element("span", f"disagreement {number(example.disagreement)}"),
    ]
    return element(
        "article",
        element("p", body, class_="text", dir="auto"),
        element("p", head, class_="meta"),
        element("table", element("caption", "predictions", class_="unseen"), element("tbody", rows)),
        class_="card",
    )


def _prediction(look: Lookup, label: str, example: ComparedExample) -> Markup:
    counted = Counter(example.predictions[label]).most_common()
    runs = sum(count for _, count in counted)
    chips = [_chip(prediction, count, runs, example.gold) for prediction, count in counted]
    return element("tr", element("th", look.name(label), scope="row"), element("td", chips))


def _chip(prediction: str, count: int, runs: int, gold: str) -> Markup:
    right = prediction.strip() == gold.strip()
    sign = joined([element("span", "✓ ", class_="right", aria_hidden="true"), unseen("right: ")]) if right else None
    times = element("span", f" {count}/{runs}", class_="soft") if runs > 1 else None
    shown = isolated(prediction) if prediction else element("span", "(nothing)", class_="soft")
    return element(
        "span",
        sign,
        shown,
        times,
        class_="chip right" if right else "chip",
        title=f"{prediction}: {count} of {plural(runs, 'run')}",
    )


def _with_blanks(text: str) -> Markup:
    parts = re.split(r"(\[MASK\]|<mask>)", text)
    return joined(
        [element("mark", "▁▁▁", aria_label="blank") if index % 2 else escaped(part) for index, part in enumerate(parts)]
    )
