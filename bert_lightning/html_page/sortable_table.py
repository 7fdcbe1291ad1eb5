"""Write tables whose columns the page can sort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bert_lightning.html_page.markup import Markup, element, isolated
from bert_lightning.html_page.number_formats import MISSING

Entry = str | tuple[str, str]  # what is shown, and what it is sorted by where that is not the text


@dataclass(frozen=True)
class Column:
    """The head of one column. Numbers are aligned to the right; `drawn` columns have small plots."""

    label: str
    numeric: bool = False
    explanation: str = ""
    drawn: bool = False

    @property
    def css(self) -> str | None:
        """The CSS class of the column's cells."""
        return "number" if self.numeric else "drawn" if self.drawn else None


def data_table(caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Entry]], css: str = "") -> Markup:
    """Return a table that scrolls on its own where the screen is narrow. The first cell of each row is its head.

    A column without any entry is left out.
    """
    filled = [index for index in range(len(columns)) if index == 0 or any(not _empty(row[index]) for row in rows)]
    columns, rows = [columns[index] for index in filled], [[row[index] for index in filled] for row in rows]
    heads = [
        element(
            "th",
            column.label,
            scope="col",
            class_=column.css,
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
        name, scope = ("th", "row") if index == 0 else ("td", None)
        cells.append(element(name, content, class_=column.css, data_key=key, scope=scope))
    return cells


def _empty(entry: Entry) -> bool:
    return (entry if isinstance(entry, str) else entry[0]) in ("", MISSING)
