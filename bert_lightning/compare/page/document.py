"""Write a comparison as one HTML page that needs no network and can be read without JavaScript."""

from __future__ import annotations

from pathlib import Path

from bert_lightning.compare.page.arm_table import results_section
from bert_lightning.compare.page.closing import method_section, runs_section, settings_section
from bert_lightning.compare.page.downloads import downloads_section
from bert_lightning.compare.page.heat_table import tasks_section
from bert_lightning.compare.page.interval_plots import differences_section
from bert_lightning.compare.page.lookup import Lookup
from bert_lightning.compare.page.noise import noise_section
from bert_lightning.compare.page.opening import answer_section, fairness_section
from bert_lightning.compare.page.shown_examples import examples_section
from bert_lightning.compare.page.targets import curves_section
from bert_lightning.compare.results import Comparison
from bert_lightning.html_page.self_contained import Section, packaged, self_contained_page


def write_page(comparison: Comparison, path: Path) -> None:
    """Write the page of a comparison to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(page_html(comparison).encode("utf-8", "replace"))


def page_html(comparison: Comparison) -> str:
    """Return the page of a comparison. It shows the comparison's data and computes nothing but its display."""
    look = Lookup(comparison)
    sections = [
        Section("answer", "The answer", answer_section(look)),
        Section("equal", "What was held equal", fairness_section(look)),
        Section("results", "Results", results_section(look)),
        Section("differences", "Differences to the baseline", differences_section(look)),
        Section("curves", "Curves", curves_section(look)),
        Section("noise", "Noise, and what this study can tell", noise_section(look)),
        Section("tasks", "Tasks and categories", tasks_section(look)),
        Section("settings", "Settings that differ", settings_section(look)),
        Section("examples", "Examples", examples_section(look)),
        Section("runs", "Runs", runs_section(look)),
        Section("method", "Method", method_section(look)),
        Section("data", "Data", downloads_section(comparison)),
    ]
    title = comparison.title or "Comparison"
    style, script = (packaged("bert_lightning.compare.page", f"comparison.{kind}") for kind in ("css", "js"))
    return self_contained_page(title, sections, "Skip to the answer", comparison.version, style + look.style, script)
