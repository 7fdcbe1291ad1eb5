"""Write tables whose columns the page can sort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bert_lightning.compare.page.markup import Markup, element, isolated

Entry = str | tuple[str, str]  # what is shown, and what it is sorted by where that is not the text


@dataclass(frozen=True)
class Column:
    """The head of one column. Numbers are aligned to the right. `best` says how the column is sorted at first."""

    label: str
    numeric: bool = False
    explanation: str = ""


def data_table(caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Entry]], css: str = "") -> Markup:
    """Return a table that scrolls on its own where the screen is narrow. The first cell of each row is its head."""
    heads = [
        element(
            "th",
            column.label,
            scope="col",
            class_="number" if column.numeric else None,
            title=column.explanation or None,
        )
        for column in columns
    ]
    body = [element("tr", _cells(columns, row)) for row in rows]
    table = element(
        "table",
        element("caption", caption, class_="unseen"),
        element("thead", element("tr", heads)),
        element("tbody", body),
        class_=f"data sortable {css}".strip(),
    )
    return scrolling(caption, table)


def scrolling(caption: str, table: Markup) -> Markup:
    """Return a table in a box that scrolls sideways, also by keyboard."""
    return element("div", table, class_="scroll", tabindex="0", role="region", aria_label=caption)


def details(summary: str, *children: Markup, opened: bool = False) -> Markup:
    """Return a part that is folded away on the screen and open in print."""
    return element("details", element("summary", summary), *children, open=opened)


def _cells(columns: Sequence[Column], row: Sequence[Entry]) -> list[Markup]:
    cells = []
    for index, (column, entry) in enumerate(zip(columns, row, strict=True)):
        text, key = entry if isinstance(entry, tuple) else (entry, None)
        content = text if isinstance(text, Markup) or column.numeric else isolated(text)
        css = "number" if column.numeric else None
        name, scope = ("th", "row") if index == 0 else ("td", None)
        cells.append(element(name, content, class_=css, data_key=key, scope=scope))
    return cells
