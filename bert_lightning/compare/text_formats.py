"""Write a comparison as text for a terminal, as Markdown or as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from bert_lightning.compare.fairness import DIFFERENT, EQUAL
from bert_lightning.compare.results import Cell, Comparison, Difference, Measure
from bert_lightning.text_table import table

Rows = list[list[str]]
_COSTS = (
    ("parameters", "parameters"), ("tokens", "tokens"), ("flops", "FLOPs"), ("tokens_per_second", "tokens/s"),
    ("wall_seconds", "seconds"),
)  # fmt: skip
_BEST = "*"  # marks arms that may be the best
_BAR = r"\|"  # a bar that ends no cell of a table in Markdown


def as_text(found: Comparison) -> str:
    """Return the comparison for a terminal: the answer, then tables, then warnings."""
    return _document(found, lambda title, rows: f"{title}\n{_indented(table(rows, range(1, len(rows[0]))))}")


def as_markdown(found: Comparison) -> str:
    """Return the comparison as Markdown with tables."""

    def section(title: str, rows: Rows) -> str:
        rule = ["---", *["---:"] * (len(rows[0]) - 1)]
        return f"## {title}\n\n" + "\n".join(map(_row, [rows[0], rule, *rows[1:]]))

    return _document(found, section) + "\n"


def as_latex(found: Comparison) -> str:
    """Return the table of arms and the table of differences as LaTeX, for the package booktabs."""

    def section(title: str, rows: Rows) -> str:
        lines = [" & ".join(map(latex_escaped, row)) + r" \\" for row in rows]
        body = "\n".join([r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"])
        columns = "l" + "r" * (len(rows[0]) - 1)
        return f"% {latex_escaped(title)}\n\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}"

    head = [f"% {line}" for line in (found.answer, found.to_settle) if line]
    parts = [section(title, rows) for title, rows in (arm_rows(found), difference_rows(found)) if len(rows) > 1]
    return "\n".join(head) + "\n\n" + "\n\n".join(parts) + "\n"


def arm_rows(found: Comparison) -> tuple[str, Rows]:
    """Return the title and the rows of the table of arms: measures with half-widths, and costs."""
    measures = [m for m in found.measures if any(cell.measure == m.name for cell in found.cells)]
    cells = {(cell.arm, cell.measure): cell for cell in found.cells}
    costs = [(key, label) for key, label in _COSTS if any(key in arm.costs for arm in found.arms)]
    header = ["arm", "seeds", *(_head(m) for m in measures), *(label for _, label in costs)]
    rows = [header]
    for arm in found.arms:
        values = [_cell(cells.get((arm.label, m.name)), m) for m in measures]
        spent = [f"{arm.costs[key]:.3g}" if key in arm.costs else "" for key, _ in costs]
        rows.append([arm.label, str(len(arm.seeds)), *values, *spent])
    return f"Arms: mean ± half of the 95 % interval; {_BEST} may be the best", rows


def difference_rows(found: Comparison) -> tuple[str, Rows]:
    """Return the title and the rows of the table of differences to the baseline."""
    measures = {m.name: m for m in found.measures}
    rows = [["arm", "measure", "difference", "95 % interval", "p", "Holm", "permutation", "bootstrap", "verdict"]]
    for each in found.differences:
        measure = measures[each.measure]
        rows.append(
            [
                each.arm, _head(measure), signed(each.estimate, measure), _interval(each.low, each.high, measure),
                _p(each.p), _p(each.holm_p), _permutation(each),
                _interval(each.bootstrap_low, each.bootstrap_high, measure), each.verdict,
            ]
        )  # fmt: skip
    return f"Differences to {found.baseline}", rows


def power_rows(found: Comparison) -> tuple[str, Rows]:
    """Return the title and the rows of the table of noise: deviations, and what could be detected."""
    measures = {m.name: m for m in found.measures}
    rows = [["measure", "between seeds", "within a seed", "detectable", "signal/noise"]]
    for each in found.power:
        measure = measures[each.measure]
        spread = [_plain(value, measure) for value in (each.between, each.within, each.detectable)]
        rows.append([_head(measure), *spread, "" if each.signal_to_noise is None else f"{each.signal_to_noise:.1f}"])
    return "Noise: standard deviations, and the smallest difference found with a power of 80 %", rows


def latex_escaped(text: str) -> str:
    """Return a text with the characters escaped that LaTeX reads as commands."""
    named = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
    }
    return re.sub(r"[\\~^±&%$#_{}]", lambda found: named.get(found[0], f"\\{found[0]}"), text)


def signed(value: float, measure: Measure) -> str:
    """Return a difference in the display of its measure, with its sign."""
    return f"{measure.factor * value:+.{measure.decimals}f}"


def _document(found: Comparison, section: Callable[[str, Rows], str]) -> str:
    head = " ".join(filter(None, [found.answer, found.to_settle]))
    tables = [section(t, r) for t, r in (arm_rows(found), difference_rows(found), power_rows(found)) if len(r) > 1]
    equal = [check.name for check in found.checks if check.status == EQUAL]
    different = [check.name for check in found.checks if check.status == DIFFERENT]
    fairness = [f"Equal: {', '.join(equal)}."] * bool(equal) + [f"Different: {', '.join(different)}."] * bool(different)
    warnings = [f"warning: {warning}" for warning in found.warnings]
    return "\n\n".join(filter(None, [head, *tables, "\n".join(fairness), "\n".join(warnings)]))


def _head(measure: Measure) -> str:
    return f"{measure.label} ({measure.unit})" if measure.unit else measure.label


def _cell(cell: Cell | None, measure: Measure) -> str:
    if cell is None:
        return ""
    half = "" if cell.low is None or cell.high is None else f" ± {_plain((cell.high - cell.low) / 2, measure)}"
    return f"{_plain(cell.mean, measure)}{half}{_BEST if cell.may_be_best else ''}"


def _plain(value: float | None, measure: Measure) -> str:
    return "" if value is None else f"{measure.factor * value:.{measure.decimals}f}"


def _interval(low: float | None, high: float | None, measure: Measure) -> str:
    return "" if low is None or high is None else f"{signed(low, measure)} to {signed(high, measure)}"


def _p(p: float | None) -> str:
    return "" if p is None else f"{p:.3f}" if p >= 0.001 else "<0.001"


def _permutation(each: Difference) -> str:
    if each.permutation_p is None:
        return ""
    floor = "" if each.permutation_floor is None else f" (floor {_p(each.permutation_floor)})"
    return f"{_p(each.permutation_p)}{floor}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', _BAR) for cell in cells)} |"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
