"""The end of the page: the config keys that differ, every run, and the method."""

from __future__ import annotations

from typing import Any

from bert_lightning.compare.page.lookup import Lookup
from bert_lightning.compare.results import ComparedRun
from bert_lightning.html_page.markup import Markup, breakable, element, isolated, note, unseen
from bert_lightning.html_page.number_formats import MISSING, duration, sortable
from bert_lightning.html_page.sortable_table import Column, Entry, data_table

_STATES = {"ended": "✓", "running": "◐", "interrupted": "◌", "failed": "✕"}
_ABSENT = object()


def settings_section(look: Lookup) -> list[Markup]:
    """Return the config keys in which the arms differ."""
    keys = list(dict.fromkeys(key for arm in look.arms for key in arm.settings))
    if not keys:
        return [note("No config key differs between the arms, or these values come without configs.")]
    columns = [Column("key")] + [Column(arm.label) for arm in look.arms]
    rows: list[list[Entry]] = []
    for key in keys:
        values = [arm.settings.get(key, _ABSENT) for arm in look.arms]
        shown_values = [_value(value, muted=index > 0 and value == values[0]) for index, value in enumerate(values)]
        rows.append([element("code", breakable(key)), *shown_values])
    table = data_table("Config keys that differ", columns, rows, "settings")
    return [table, note("Values that equal the first arm's are pale. Keys that all arms share are left out.")]


def runs_section(look: Lookup) -> list[Markup]:
    """Return the table of every run behind the comparison."""
    runs = look.comparison.runs
    if not runs:
        return [note("These values come from a table, without run folders.")]
    columns = [
        Column("folder"),
        Column("arm"),
        Column("verb"),
        Column("task"),
        Column("state"),
        Column("seed", True),
        Column("fine-tuning seed", True),
        Column("commit"),
        Column("time", True),
        Column("note"),
    ]
    return [data_table("Runs", columns, [_run(look, run) for run in runs], "runs")]


def method_section(look: Lookup) -> list[Markup]:
    """Return the method in plain words with its sources, and the command that makes the page again."""
    comparison = look.comparison
    parts = [element("p", paragraph) for paragraph in _METHOD]
    parts.append(element("ul", [element("li", source) for source in _SOURCES], class_="sources"))
    parts.append(element("h3", "Make it again"))
    if comparison.command:
        command = element("code", comparison.command)
        parts.append(element("pre", command, tabindex="0", role="region", aria_label="Command"))
    parts.append(
        element(
            "p",
            f"bert-lightning {comparison.version}",
            f", commit {comparison.commit}" if comparison.commit else "",
            class_="note",
        )
    )
    return parts


def _run(look: Lookup, run: ComparedRun) -> list[Entry]:
    sign = element("span", _STATES.get(run.state, "?"), class_="sign", aria_hidden="true")
    return [
        element("code", breakable(run.path)),
        (look.name(run.arm), run.arm),
        run.verb,
        run.task or MISSING,
        (
            element("span", sign, " ", isolated(run.state), class_="state" if run.state == "ended" else "state odd"),
            run.state,
        ),
        str(run.seed) if run.seed is not None else MISSING,
        str(run.finetuning_seed) if run.finetuning_seed is not None else MISSING,
        element("code", run.commit[:10]) if run.commit else MISSING,
        (duration(run.wall_seconds), sortable(run.wall_seconds)),
        run.note,
    ]


def _value(value: Any, muted: bool) -> Entry:
    if value is _ABSENT:
        return element("span", MISSING, unseen("not set"), class_="soft")
    return element("code", breakable(_yaml(value)), class_="soft" if muted else None)


def _yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


_METHOD = [
    "An arm is a set of runs that differ in nothing but their seeds. The value of an arm is the mean over its "
    "pretraining seeds; the value of a pretraining seed is the mean over its fine-tuning seeds.",
    "The 95 % interval of a difference answers: if both arms were pretrained again with new seeds, and measured on new "
    "examples, where would the difference be? Its variance is the variance over seeds plus the variance over examples "
    "(or over clusters of examples, such as the questions of one paragraph), less the part that is counted twice. The "
    "degrees of freedom are Satterthwaite's. In simulated studies it covers the true difference in 94 to 97 of 100.",
    "The thin line is the Multi-Bootstrap: seeds and examples are drawn with replacement, the same examples for both "
    "arms. With three seeds it is too narrow where seeds matter most. The permutation test exchanges the labels of "
    "seeds, and is about exactly these examples. With few seeds its p cannot be small: the table gives the smallest "
    "that is possible.",
    "p-values of several arms are adjusted by Holm's method. An arm “may be the best” unless some other arm is better "
    "than it by their test at 5 %, divided by the number of its tests. So the set has the truly best arm with a "
    "probability of 95 % or more.",
    "Failed and collapsed runs are listed, not hidden.",
]


def _source(text: str, address: str = "") -> Markup:
    link = element("a", address.split("://")[-1], href=address, rel="noreferrer") if address else None
    return element("span", text, " " if link else None, link)


_SOURCES = [
    _source("Sellam et al. 2022, The MultiBERTs: the Multi-Bootstrap.", "https://arxiv.org/abs/2106.16163"),
    _source(
        "Bouthillier et al. 2021, Accounting for variance in machine learning benchmarks.",
        "https://arxiv.org/abs/2103.03098",
    ),
    _source(
        "Reimers and Gurevych 2017, Reporting score distributions makes a difference.",
        "https://aclanthology.org/D17-1035",
    ),
    _source(
        "Dror et al. 2017, Replicability analysis for natural language processing.", "https://arxiv.org/abs/1709.09500"
    ),
    _source("Owen 2025, on bootstrap intervals of small samples.", "https://arxiv.org/abs/2508.10083"),
    _source("Holm 1979, A simple sequentially rejective multiple test procedure."),
]
