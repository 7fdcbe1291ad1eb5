"""Put sections into one HTML page that needs no network and can be read without JavaScript."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from bert_lightning.html_page.markup import Markup, element


@dataclass(frozen=True)
class Section:
    """A section of a page: its name in addresses, its heading, and its content."""

    name: str
    heading: str
    parts: Sequence[Markup]


def self_contained_page(
    title: str, sections: Sequence[Section], skip: str, version: str, style: str = "", script: str = ""
) -> str:
    """Return a whole HTML page with a list of contents, a switch of the colours, and sections.

    Args:
        title: the title, which is escaped.
        sections: the sections, in their order. The first one is what keyboard users can skip to.
        skip: the words of that link.
        version: the version of this package that computed the content.
        style: CSS of this kind of page, which follows `page.css`.
        script: JavaScript of this kind of page, which follows `page.js`.
    """
    links = [element("li", element("a", section.heading, href=f"#{section.name}")) for section in sections]
    code = Markup(packaged("bert_lightning.html_page", "page.js") + script)
    body = element(
        "body",
        element("a", skip, href=f"#{sections[0].name}", class_="skip"),
        element(
            "header",
            element("h1", title, dir="auto"),
            element("button", "Dark or light", id="theme", type="button", hidden=True),
        ),
        element("nav", element("ol", links), aria_label="Contents"),
        element("main", [_section(section) for section in sections]),
        element("script", code),
    )
    return f"<!doctype html>\n{element('html', _head(title, version, style, code), body, lang='en')}\n"


def packaged(package: str, name: str) -> str:
    """Return the text of a file that lies in a package."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _section(section: Section) -> Markup:
    heading = f"{section.name}-heading"
    return element(
        "section",
        element("h2", section.heading, id=heading),
        section.parts,
        id=section.name,
        aria_labelledby=heading,
    )


def _head(title: str, version: str, style: str, script: str) -> Markup:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Only the page's own script runs, and nothing is loaded: also if a text were not escaped.
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; base-uri 'none'"
    )
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="generator", content=f"bert-lightning {version}"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("style", Markup(packaged("bert_lightning.html_page", "page.css") + style)),
    )
