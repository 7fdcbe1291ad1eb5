"""Find the parts of a comparison by arm and measure, and give each arm its number, colour and marker."""

from __future__ import annotations

from functools import cached_property

from bert_lightning.compare.results import Arm, Cell, Comparison, Curve, Difference, Measure
from bert_lightning.html_page.markers import COLOURS, marker_path
from bert_lightning.html_page.markup import Markup, element, isolated

LONG = 24  # characters of a label that stays on one line


class Lookup:
    """Access to a comparison by names. Names that only cells or runs use are found too."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self.cells: dict[tuple[str, str], Cell] = {(cell.arm, cell.measure): cell for cell in comparison.cells}
        self.differences: dict[tuple[str, str], Difference] = {
            (difference.arm, difference.measure): difference for difference in comparison.differences
        }

    @cached_property
    def arms(self) -> list[Arm]:
        """The arms: the baseline first, and then the order of the comparison."""
        arms = {arm.label: arm for arm in self.comparison.arms}
        found: list[Cell | Difference | Curve] = [
            *self.comparison.cells,
            *self.comparison.differences,
            *self.comparison.curves,
        ]
        for label in [part.arm for part in found]:
            arms.setdefault(label, Arm(label))
        return sorted(arms.values(), key=lambda arm: arm.label != self.comparison.baseline)

    @cached_property
    def measures(self) -> list[Measure]:
        """The measures: the primary one first."""
        measures = {measure.name: measure for measure in self.comparison.measures}
        found: list[Cell | Difference] = [*self.comparison.cells, *self.comparison.differences]
        for name in [part.measure for part in found]:
            measures.setdefault(name, self.measure(name))
        return sorted(measures.values(), key=lambda measure: measure.name != self.comparison.primary)

    def measure(self, name: str) -> Measure:
        """Return a measure by its name. Of one that is not described, a larger value is taken to be better."""
        found = [measure for measure in self.comparison.measures if measure.name == name]
        return found[0] if found else Measure(name, name, higher_is_better="loss" not in name)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {arm.label: number for number, arm in enumerate(self.arms)}

    def number(self, label: str) -> int:
        """Return the number of an arm, which is 0 for the baseline."""
        return self._numbers.get(label, len(self._numbers))

    def css(self, label: str) -> str:
        """Return the CSS class of an arm."""
        return f"a{self.number(label)}"

    def marker(self, label: str) -> Markup:
        """Return the marker of an arm as a small image."""
        return element(
            "svg",
            marker_path(self.number(label)),
            class_=f"key {self.css(label)}",
            viewBox="-6 -6 12 12",
            aria_hidden="true",
        )

    def name(self, label: str) -> Markup:
        """Return the label of an arm behind its marker."""
        baseline = element("span", "baseline", class_="tag") if label == self.comparison.baseline else None
        return element(
            "span", self.marker(label), isolated(label), baseline, class_="arm long" if len(label) > LONG else "arm"
        )

    @cached_property
    def style(self) -> Markup:
        """CSS that gives each arm its colour and lets the legend hide it."""
        rules = [
            f".a{number}{{--c:var(--c{number % COLOURS})}}"
            f".curves:has(#show-{number}:not(:checked)) .plot .a{number}{{display:none}}"
            f".curves:has(.legend label.a{number}:hover) .plot g.a{number}{{opacity:1}}"
            for number in range(len(self.arms) + 1)
        ]
        return Markup("".join(rules))
