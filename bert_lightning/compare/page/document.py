"""Write a comparison as one HTML page that needs no network and can be read without JavaScript."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path

from bert_lightning.compare.page.arm_table import results_section
from bert_lightning.compare.page.closing import method_section, runs_section, settings_section
from bert_lightning.compare.page.downloads import downloads_section
from bert_lightning.compare.page.heat_table import tasks_section
from bert_lightning.compare.page.interval_plots import differences_section
from bert_lightning.compare.page.lookup import Lookup
from bert_lightning.compare.page.markup import Markup, element
from bert_lightning.compare.page.noise import noise_section
from bert_lightning.compare.page.opening import answer_section, fairness_section
from bert_lightning.compare.page.shown_examples import examples_section
from bert_lightning.compare.page.targets import curves_section
from bert_lightning.compare.results import Comparison


def write_page(comparison: Comparison, path: Path) -> None:
    """Write the page of a comparison to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(page_html(comparison).encode("utf-8", "replace"))


def page_html(comparison: Comparison) -> str:
    """Return the page of a comparison. It shows the comparison's data and computes nothing but its display."""
    look = Lookup(comparison)
    title = comparison.title or "Comparison"
    sections = [
        ("answer", "The answer", answer_section(look)),
        ("equal", "What was held equal", fairness_section(look)),
        ("results", "Results", results_section(look)),
        ("differences", "Differences to the baseline", differences_section(look)),
        ("curves", "Curves", curves_section(look)),
        ("noise", "Noise, and what this study can tell", noise_section(look)),
        ("tasks", "Tasks and categories", tasks_section(look)),
        ("settings", "Settings that differ", settings_section(look)),
        ("examples", "Examples", examples_section(look)),
        ("runs", "Runs", runs_section(look)),
        ("method", "Method", method_section(look)),
        ("data", "Data", downloads_section(comparison)),
    ]
    links = [element("li", element("a", heading, href=f"#{name}")) for name, heading, _ in sections]
    body = element(
        "body",
        element("a", "Skip to the answer", href="#answer", class_="skip"),
        element(
            "header",
            element("h1", title, dir="auto"),
            element("button", "Dark or light", id="theme", type="button", hidden=True),
        ),
        element("nav", element("ol", links), aria_label="Contents"),
        element("main", [_section(name, heading, parts) for name, heading, parts in sections]),
        element("script", _packaged("page.js")),
    )
    return f"<!doctype html>\n{element('html', _head(title, look), body, lang='en')}\n"


def _section(name: str, heading: str, parts: list[Markup]) -> Markup:
    return element(
        "section", element("h2", heading, id=f"{name}-heading"), parts, id=name, aria_labelledby=f"{name}-heading"
    )


def _head(title: str, look: Lookup) -> Markup:
    script = _packaged("page.js")
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
        element("meta", name="generator", content=f"bert-lightning {look.comparison.version}"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("style", Markup(_packaged("page.css") + look.style)),
    )


def _packaged(name: str) -> Markup:
    return Markup(files("bert_lightning.compare.page").joinpath(name).read_text(encoding="utf-8"))
