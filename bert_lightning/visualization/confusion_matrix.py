"""Which classes a model takes for which: counts of gold and predicted classes, as a table with colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bert_lightning.html_page.markup import Markup, element, isolated, note
from bert_lightning.html_page.number_formats import number
from bert_lightning.html_page.sortable_table import Column, Entry, data_table, scrolling
from bert_lightning.visualization.error_cards import percent, share_key

MOST_CLASSES = 25  # a larger table cannot be read
_ROOMY = 10  # classes whose table has room for wide cells
_MOST_CONFUSIONS = 12
CORNER = element("span", element("span", "gold ↓"), " ", element("span", "predicted →"), class_="soft corner")
Counts = npt.NDArray[np.int64]


def count_pairs(labels: Sequence[str], pairs: Sequence[tuple[str, str]]) -> Counts:
    """Return the number of pairs (gold class, predicted class), [C, C], in the order of the labels."""
    index = {label: number for number, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), np.int64)
    for gold, found in pairs:
        counts[index[gold], index[found]] += 1
    return counts


def confusion_parts(labels: Sequence[str], counts: Counts) -> list[Markup]:
    """Return the table of counts with recall, precision and F1, and the list of the most frequent confusions."""
    shown_labels, shown_counts = _largest(labels, counts)
    parts = [_matrix(shown_labels, shown_counts)]
    if len(labels) > len(shown_labels):
        parts.append(note(f"The {MOST_CLASSES} classes with the most errors are shown; the others are one row."))
    parts.append(
        note(
            "A row has the examples of one gold class. Its colours are shares of the row, blue for right predictions "
            "and orange for wrong ones."
        )
    )
    if len(labels) > 2 and (counts - np.diag(counts.diagonal())).any():
        parts += [element("h3", "Most frequent confusions"), _confusions(labels, counts)]
    return parts


def most_frequent_confusion(labels: Sequence[str], counts: Counts) -> tuple[str, str, int] | None:
    """Return the gold class, the predicted class and the count of the most frequent confusion; None without any."""
    wrong = counts - np.diag(counts.diagonal())
    if not wrong.any():
        return None
    gold, found = divmod(int(wrong.argmax()), len(labels))
    return labels[gold], labels[found], int(wrong[gold, found])


def _largest(labels: Sequence[str], counts: Counts) -> tuple[list[str], Counts]:
    """Return the classes with the most errors and their counts. All others are one class, the last."""
    if len(labels) <= MOST_CLASSES:
        return list(labels), counts
    errors = counts.sum(0) + counts.sum(1) - 2 * counts.diagonal()
    kept = np.sort(np.argsort(-errors, kind="stable")[: MOST_CLASSES - 1])
    group = np.full(len(labels), len(kept))
    group[kept] = np.arange(len(kept))
    merged = np.zeros((len(kept) + 1,) * 2, np.int64)
    np.add.at(merged, (group[:, None], group[None, :]), counts)
    return [*(labels[index] for index in kept), f"{len(labels) - len(kept)} other classes"], merged


def _matrix(labels: Sequence[str], counts: Counts) -> Markup:
    right, found, gold = counts.diagonal(), counts.sum(0), counts.sum(1)
    names = [*labels, "examples", "recall", "F1"]
    heads = [element("th", CORNER, scope="col")]
    heads += [element("th", isolated(name), scope="col", class_="number") for name in names]
    rows = []
    for index, label in enumerate(labels):
        f1 = 2 * right[index] / max(found[index] + gold[index], 1)
        rows.append(
            element(
                "tr",
                element("th", isolated(label), scope="row"),
                [_cell(int(count), int(gold[index]), index == column) for column, count in enumerate(counts[index])],
                element("td", f"{gold[index]:,}", class_="number total"),
                element("td", percent(right[index], gold[index]), class_="number"),
                element("td", number(float(f1)), class_="number"),
            )
        )
    digits = 1 if len(labels) <= _ROOMY else 0
    precision = [element("td", percent(right[i], found[i], digits), class_="number") for i in range(len(labels))]
    total = element("td", f"{counts.sum():,}", class_="number total")
    whole = element("td", percent(right.sum(), counts.sum()), class_="number", title="accuracy")
    last = element("tr", element("th", "precision", scope="row", class_="soft"), precision, total, whole, element("td"))
    title = "Gold and predicted classes"
    table = element(
        "table",
        element("caption", title, class_="unseen"),
        element("thead", element("tr", heads)),
        element("tbody", rows),
        element("tfoot", last),
        class_="data confusion" if len(labels) <= _ROOMY else "data confusion narrow",
    )
    return scrolling(title, table)


def _cell(count: int, total: int, right: bool) -> Markup:
    if not count:
        return element("td", element("span", "0", class_="soft"), class_="number")
    share = count / total
    css = "number cell good" if right else "number cell bad"
    return element("td", f"{count:,}", class_=css, style=f"--d:{share:.2f}", title=f"{100 * share:.1f} % of the row")


def _confusions(labels: Sequence[str], counts: Counts) -> Markup:
    wrong = counts - np.diag(counts.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    columns = [
        Column("gold class"),
        Column("predicted class"),
        Column("examples", True),
        Column("share of the gold class", True),
    ]
    rows: list[list[Entry]] = []
    for gold, found in (divmod(int(place), len(labels)) for place in order):
        if count := int(wrong[gold, found]):
            total = int(counts[gold].sum())
            rows.append([labels[gold], labels[found], f"{count:,}", (percent(count, total), share_key(count, total))])
    return data_table("Most frequent confusions", columns, rows, "confusions")
