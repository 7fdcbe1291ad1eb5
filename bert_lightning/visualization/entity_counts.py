"""Count what becomes of each gold entity, and which predicted ones stand where none is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from bert_lightning.data.labelled.conll import Entity
from bert_lightning.html_page.markup import Markup, element, isolated, note
from bert_lightning.html_page.sortable_table import scrolling
from bert_lightning.visualization.confusion_matrix import CORNER
from bert_lightning.visualization.error_cards import percent

BOUNDARIES, MISSED, NOWHERE = "other boundaries", "missed", "no entity"


class EntityError(NamedTuple):
    """An entity that is missed, invented, of another type or of other boundaries. `gold` or `found` may be empty."""

    kind: str
    start: int
    end: int
    gold: str
    found: str


def entity_errors(gold: Collection[Entity], found: Collection[Entity]) -> list[EntityError]:
    """Return the errors in one sentence, in its order. Each entity is in at most one of them, as is each prediction."""
    errors = []
    for entity in gold:
        outcome, matched = _outcome(entity, found)
        if outcome != entity.type:
            kind = outcome if outcome in (BOUNDARIES, MISSED) else "other type"
            errors.append(EntityError(kind, entity.start, entity.end, entity.type, matched))
    for entity in found:
        if not any(_overlap(entity, other) for other in gold):
            errors.append(EntityError("invented", entity.start, entity.end, "", entity.type))
    return sorted(errors, key=lambda error: (error.start, error.end, error.kind))


def entity_table(gold: Sequence[Collection[Entity]], found: Sequence[Collection[Entity]]) -> list[Markup]:
    """Return the table of what becomes of the gold entities, by type."""
    counts: Counter[tuple[str, str]] = Counter()
    for right, predicted in zip(gold, found, strict=True):
        counts.update((entity.type, _outcome(entity, predicted)[0]) for entity in right)
        counts.update((NOWHERE, entity.type) for entity in predicted if not any(_overlap(entity, r) for r in right))
    types = sorted({entity.type for side in (gold, found) for of_row in side for entity in of_row})
    outcomes = [*types, BOUNDARIES, MISSED]
    heads = [element("th", CORNER, scope="col")]
    heads += [element("th", isolated(name), scope="col", class_="number") for name in (*outcomes, "entities", "found")]
    rows = [_row(name, outcomes, counts) for name in (*types, NOWHERE)]
    title = "Gold and predicted entities"
    table = element(
        "table",
        element("caption", title, class_="unseen"),
        element("thead", element("tr", heads)),
        element("tbody", rows),
        class_="data confusion",
    )
    explained = note(
        "A row has the entities of one gold type. Under a type are those that the model predicts with the same "
        f"boundaries. “{BOUNDARIES}” overlap a predicted entity, “{MISSED}” overlap none. The last row has predicted "
        "entities that overlap no gold one."
    )
    return [scrolling(title, table), explained]


def _outcome(entity: Entity, found: Collection[Entity]) -> tuple[str, str]:
    """Return what becomes of a gold entity, and the type of the prediction that it overlaps most; empty if none."""
    same = [other for other in found if (other.start, other.end) == (entity.start, entity.end)]
    if same:
        return same[0].type, same[0].type
    best = max(found, key=lambda other: (_overlap(entity, other), -other.start), default=None)
    if best is None or not _overlap(entity, best):
        return MISSED, ""
    return BOUNDARIES, best.type


def _overlap(one: Entity, other: Entity) -> int:
    return max(0, min(one.end, other.end) - max(one.start, other.start))


def _row(name: str, outcomes: Sequence[str], counts: Counter[tuple[str, str]]) -> Markup:
    own = [counts[name, outcome] for outcome in outcomes]
    total = sum(own)
    cells = []
    for outcome, count in zip(outcomes, own, strict=True):
        if not count:
            impossible = name == NOWHERE and outcome in (BOUNDARIES, MISSED)
            cells.append(element("td", element("span", "" if impossible else "0", class_="soft"), class_="number"))
            continue
        css = "number cell good" if outcome == name else "number cell bad"
        share = f"{percent(count, total)} of the row"
        cells.append(element("td", f"{count:,}", class_=css, style=f"--d:{count / total:.2f}", title=share))
    right = percent(counts[name, name], total) if name != NOWHERE else ""
    ends = [element("td", f"{total:,}", class_="number total"), element("td", right, class_="number")]
    return element("tr", element("th", isolated(name), scope="row"), cells, ends)
