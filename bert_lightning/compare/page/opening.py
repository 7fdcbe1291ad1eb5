"""The opening of the page: the answer, and what was held equal."""

from __future__ import annotations

import re
from typing import Any

from bert_lightning.compare.page.display import titled
from bert_lightning.compare.page.interval_plots import interval_panel, settled_by
from bert_lightning.compare.page.lookup import Lookup
from bert_lightning.compare.results import FairnessCheck
from bert_lightning.html_page.markup import Markup, element, isolated, joined, note, unseen
from bert_lightning.html_page.number_formats import plural, typeset

LONG_ANSWER = 160  # characters of a first sentence that is set in the largest type
_STATUS = {"equal": ("=", "equal"), "different": ("≠", "different"), "unknown": ("?", "unknown")}


def answer_section(look: Lookup) -> list[Markup]:
    """Return the answer in one sentence, its interval, and what would settle an open question."""
    comparison = look.comparison
    answer = comparison.answer or "This comparison has no answer: no two arms share a measure."
    first, rest = _first_sentence(typeset(answer))
    css = "answer" if len(first) <= LONG_ANSWER else "answer long"
    parts = [
        element("p", element("span", first, class_=css), rest, dir="auto", class_="lead"),
        settled_by(look),
        _facts(look),
    ]
    if any(measure == comparison.primary for _, measure in look.differences):
        primary = look.measure(comparison.primary)
        label = f"Difference to {comparison.baseline}: {titled(primary)}"
        parts.append(
            element(
                "figure",
                element("figcaption", isolated(label)),
                interval_panel(look, primary, heading=False),
                class_="first",
            )
        )
    return parts


def fairness_section(look: Lookup) -> list[Markup]:
    """Return the warnings, what differs with its values, and what was equal."""
    comparison = look.comparison
    parts = []
    listed = tuple(f"{check.name}: " for check in comparison.checks if check.status != "equal" and check.matters)
    warnings = [warning for warning in comparison.warnings if not warning.startswith(listed)]  # the list below has them
    if warnings:
        items = [element("li", isolated(warning)) for warning in warnings]
        parts.append(element("ul", items, class_="warnings", aria_label="Warnings"))
    if not comparison.checks:
        return [*parts, note("What was held equal was not checked: the values come without their runs.")]
    checks = sorted(comparison.checks, key=lambda check: (check.status == "equal", check.status == "unknown"))
    differing = [check for check in checks if check.status != "equal"]
    equal = [check for check in checks if check.status == "equal"]
    if equal:
        names = joined(_listed([isolated(check.name) for check in equal]))
        parts.append(element("p", element("b", "Equal in all arms: "), names, class_="checks"))
    if differing:
        parts.append(element("ul", [_check(check) for check in differing], class_="unequal"))
    elif equal:
        parts.append(note("Nothing that was checked differs between the arms, apart from what is compared."))
    return parts


def _first_sentence(answer: str) -> tuple[str, Markup | None]:
    """Return the first sentence, which is set large, and what follows."""
    first, *rest = re.split(r"(?<=\.)\s+(?=[A-Z])", answer, maxsplit=1)
    return first, element("span", *rest, class_="more") if rest else None


def _facts(look: Lookup) -> Markup:
    comparison = look.comparison
    seeds = sorted({seed for arm in look.arms for seed in arm.seeds})
    facts = [plural(len(look.arms), "arm"), plural(len(seeds), "pretraining seed") if seeds else ""]
    facts += [plural(len(comparison.runs), "run") if comparison.runs else "", plural(len(look.measures), "measure")]
    entries = [element("span", fact) for fact in facts if fact]
    if comparison.baseline:
        entries.append(element("span", "baseline ", isolated(comparison.baseline)))
    return element("p", entries, class_="facts")


def _check(check: FairnessCheck) -> Markup:
    values = [
        element("div", element("dt", isolated(str(key))), element("dd", isolated(_text(value))))
        for key, value in check.values.items()
    ]
    keys = [element("code", key) for key in check.keys]
    return element(
        "li",
        element("span", _sign(check.status), element("b", isolated(check.name)), class_="check"),
        element("span", check.matters, class_="matters", dir="auto") if check.matters else None,
        element("span", keys, class_="keys") if keys else None,
        element("dl", values) if values else None,
        class_=f"{check.status if check.status in _STATUS else 'unknown'}{' serious' if check.matters else ''}",
    )


def _sign(status: str) -> Markup:
    sign, word = _STATUS.get(status, _STATUS["unknown"])
    return element("span", element("span", sign, aria_hidden="true"), unseen(word), class_="sign")


def _listed(parts: list[Markup]) -> list[str]:
    return [part for index, item in enumerate(parts) for part in ([", ", item] if index else [item])]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else str(value)
