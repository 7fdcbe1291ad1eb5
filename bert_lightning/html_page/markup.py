"""Build HTML and SVG from text that is not trusted: everything is escaped unless it is `Markup` already."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")  # not allowed in HTML
_VOID = {"wbr", "meta", "link", "br", "hr", "input", "col"}


class Markup(str):
    """A string that is HTML already."""

    __slots__ = ()


Child = str | Iterable[str] | None


def escaped(text: str) -> Markup:
    """Return a text as HTML. A character that HTML does not allow becomes U+FFFD."""
    return text if isinstance(text, Markup) else Markup(html.escape(_CONTROL.sub("\ufffd", text), quote=True))


def joined(parts: Iterable[str]) -> Markup:
    """Return the parts one after the other. Parts that are no `Markup` are escaped."""
    return Markup("".join(escaped(part) for part in parts))


def element(tag: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """Return an element.

    An attribute's name loses a final `_`, and its other `_` become `-`. The values None and False leave it out.
    """
    written = [_attribute(key, value) for key, value in attributes.items() if value is not None and value is not False]
    opening = f"<{tag}{''.join(written)}>"
    if tag in _VOID:
        return Markup(opening)
    inner = "".join(
        "" if child is None else escaped(child) if isinstance(child, str) else joined(child) for child in children
    )
    return Markup(f"{opening}{inner}</{tag}>")


def isolated(text: str) -> Markup:
    """Return a stranger's text in an element of its own, so that its writing direction does not leak."""
    return element("bdi", text)


def breakable(path: str) -> Markup:
    """Return a path or a key that may continue on the next line after `/`, `=`, `.` and `_`."""
    parts = re.split(r"(?<=[/=._])", path)
    return element("bdi", Markup("<wbr>".join(escaped(part) for part in parts)))


def notes(texts: Iterable[str]) -> Markup | None:
    """Return texts as a list without repetitions, or None without any text."""
    items = [element("li", isolated(text)) for text in dict.fromkeys(texts) if text]
    return element("ul", items, class_="notes") if items else None


def remarks(said: Iterable[tuple[str, str]], everything: str) -> Markup | None:
    """Return what is said about each subject as a list in which each clause stands once, before its subjects.

    Args:
        said: each subject with its clauses, which are joined by `; `.
        everything: the name of all the subjects together, for a clause that is said of more than three and of all.
    """
    about: dict[str, dict[str, None]] = {}
    subjects: dict[str, None] = {}
    for subject, text in said:
        subjects[subject] = None
        for clause in filter(None, text.split("; ")):
            about.setdefault(clause, {})[subject] = None
    of_all = [clause for clause in about if len(about[clause]) == len(subjects) > 3]
    lines = [f"{everything}: {clause}" for clause in of_all]
    lines += [f"{'; '.join(about[clause])}: {clause}" for clause in about if clause not in of_all]
    return notes(lines)


def unseen(text: str) -> Markup:
    """Return a text that only screen readers get."""
    return element("span", text, class_="unseen")


def note(text: str) -> Markup:
    """Return a sentence that stands where a plot or table would be empty."""
    return element("p", text, class_="note")


def _attribute(key: str, value: str | float | bool) -> str:
    name = "viewBox" if key == "viewBox" else key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = value if isinstance(value, str) else f"{value:.6g}"
    return f' {name}="{escaped(str(text))}"' if not isinstance(text, Markup) else f' {name}="{html.escape(text)}"'
