"""Say in plain English what a comparison found on its primary measure, and what would settle what is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bert_lightning.compare.intervals import LEVEL
from bert_lightning.compare.results import Cell, Difference, Measure

MOST_NAMED = 3  # arms named one by one in what is to settle
_TOLD = ("better", "worse")  # verdicts on arms that are told apart from the baseline


@dataclass(frozen=True)
class Findings:
    """The findings on one measure: a cell for each arm, and a difference for each arm but the baseline.

    `contenders` has the difference of each arm that may be the best to the one of them with the best mean.
    """

    measure: Measure
    baseline: str
    cells: Sequence[Cell] = ()
    differences: Sequence[Difference] = ()
    contenders: Sequence[Difference] = ()


def answer(found: Findings) -> str:
    """Return the answer to "which arm is best?" in one sentence, with its interval."""
    measure, cells = found.measure, found.cells
    if not cells:
        return f"Nothing can be compared: no run has a value of {measure.label}."
    if len(cells) == 1:
        return f"{_mean(measure, cells[0])}. There is nothing to compare it with."
    if all(cell.arm != found.baseline for cell in cells):
        return (
            f"No difference can be given: the baseline {found.baseline} has no value of {measure.label}. "
            f"{_leader(found)}."
        )
    best = [cell.arm for cell in cells if cell.may_be_best]
    if not best and all(len(cell.values) == 1 for cell in cells):
        return f"One pretraining seed of each arm does not tell which is best {_on(measure)}. {_leader(found)}."
    if not best:
        return f"It cannot be told which arm is best {_on(measure)}{_reasons(found)}. {_leader(found)}."
    if len(best) == 1:
        return _one_best(found, best[0])
    if len(cells) == 2:
        only = found.differences[0]
        return (
            f"It cannot be told whether {only.arm} or {only.baseline} is better {_on(measure)}: "
            f"the difference is {_interval(measure, only)}."
        )
    if any(d.verdict == "better" for d in found.differences):
        return f"{_told_apart(found)} Which arm is best cannot be told: {_listed(best, 'or')} may be{_reasons(found)}."
    return (
        f"It cannot be told which arm is best {_on(measure)}: {_listed(best, 'or')} may be{_reasons(found)}. "
        f"Compared with {found.baseline}: {'; '.join(_compared(measure, d) for d in found.differences)}."
    )


def to_settle(found: Findings) -> str:
    """Return what would settle which arm is best, or else the open differences to the baseline, and what it costs.

    It is empty if nothing is open.
    """
    measure = found.measure
    unknown = [d for d in found.differences if d.verdict == "unknown"]
    undecided = list(found.contenders) or [d for d in found.differences if d.verdict == "open"]
    undecided.sort(key=lambda d: d.seeds_to_settle or 10**6)
    sentences = [_settled_by(found, d) for d in undecided[:MOST_NAMED]]
    if len(undecided) > MOST_NAMED:
        sentences.append(f"{len(undecided) - MOST_NAMED} more differences are open.")
    counts = {cell.arm: len(cell.values) for cell in found.cells}
    single = [arm for arm in counts if counts[arm] == 1 and any(arm in (d.arm, d.baseline) for d in unknown)]
    if single:
        verb = "have" if len(single) > 1 else "has"
        sentences.append(f"{_listed(single)} {verb} one pretraining seed: run at least 3 seeds for each arm.")
    detectable = [d.detectable for d in undecided if d.detectable is not None]
    if detectable:
        size = amount_text(measure, max(detectable))
        sentences.append(f"This study finds a true difference of {size} with a power of 80 %.")
        if found.contenders and len(found.cells) > 2:
            sentences.append(f"These tests are adjusted for {len(found.cells)} arms.")
    return " ".join(sentences)


def value_text(measure: Measure, value: float) -> str:
    """Return a value as it is displayed, with its unit."""
    return f"{value * measure.factor:.{measure.decimals}f}" + (f" {measure.unit}" if measure.unit else "")


def amount_text(measure: Measure, amount: float) -> str:
    """Return the size of a difference, without a sign. The unit of a difference of percentages is points."""
    unit = "points" if measure.unit == "%" else measure.unit
    return f"{abs(amount) * measure.factor:.{measure.decimals}f}" + (f" {unit}" if unit else "")


def range_text(measure: Measure, low: float, high: float) -> str:
    """Return an interval of a difference as it is displayed, with signs."""
    unit = "points" if measure.unit == "%" else measure.unit
    low_text, high_text = (f"{value * measure.factor:+.{measure.decimals}f}" for value in (low, high))
    return f"{low_text} to {high_text}" + (f" {unit}" if unit else "")


def duration_text(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} minutes"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 86400:.1f} days"


def _one_best(found: Findings, best: str) -> str:
    """Return the sentence about the only arm that may be the best, beside the baseline or the next arm."""
    measure = found.measure
    tested = [cell for cell in found.cells if cell.may_be_best is not None]
    if best == found.baseline:
        shown = min((d for d in found.differences if d.low is not None), key=lambda d: abs(d.estimate))
        name, other, beside = f"The baseline {best}", shown.arm, f"the closest, {shown.arm}, differs by "
    else:
        shown = next(d for d in found.differences if d.arm == best)
        name, other, beside = best, shown.baseline, f"compared with {shown.baseline} by "
    if len(tested) == 2:
        return f"{name} is better than {other} {_on(measure)}: {_interval(measure, shown)}{_reasons(found)}."
    among = f"the best of {len(tested)} arms {_on(measure)}"
    return f"{name} is {among}{_reasons(found)}; {beside}{_interval(measure, shown)}."


def _told_apart(found: Findings) -> str:
    """Return a sentence for each arm that is told apart from the baseline, and one about those that are not."""
    told = sorted((d for d in found.differences if d.verdict in _TOLD), key=lambda d: (d.verdict, d.p or 0.0))
    than = f"than {found.baseline} {_on(found.measure)}"
    sentences = [f"{d.arm} is {d.verdict} {than}: {_interval(found.measure, d)}{_adjusted(d)}." for d in told]
    if same := [d.arm for d in found.differences if d.verdict == "open"]:
        sentences.append(f"Not told apart from {found.baseline}: {_listed(same)}.")
    return " ".join(sentences)


def _adjusted(d: Difference) -> str:
    """Return the reservation about a difference that is none any more after the adjustment for several arms."""
    if d.verdict in _TOLD and d.holm_p is not None and d.holm_p > LEVEL:
        return f", but not after Holm's adjustment for several arms (p = {d.holm_p:.2f})"
    return ""


def _reasons(found: Findings) -> str:
    """Return which arms cannot be compared and why, in brackets; it is empty if all can."""
    untold = {cell.arm for cell in found.cells if cell.may_be_best is None}
    notes = [d.note for d in found.differences if d.verdict == "unknown" and {d.arm, d.baseline} & untold and d.note]
    if not untold:
        return ""
    why = "; ".join(dict.fromkeys(notes)) or "there is no interval"
    return f" ({_listed(sorted(untold))} cannot be compared: {why})"


def _on(measure: Measure) -> str:
    return f"on {measure.label}"


def _leader(found: Findings) -> str:
    sign = 1 if found.measure.higher_is_better else -1
    ranked = sorted(found.cells, key=lambda cell: -sign * cell.mean)
    return "In these runs the means are: " + ", ".join(
        f"{cell.arm} {value_text(found.measure, cell.mean)}" for cell in ranked
    )


def _mean(measure: Measure, cell: Cell) -> str:
    seeds = f"{len(cell.values)} seed" + ("s" if len(cell.values) > 1 else "")
    text = f"{cell.arm} has {value_text(measure, cell.mean)} {_on(measure)} over {seeds}"
    if cell.low is None or cell.high is None:
        return f"{text}, without an interval" + (f" ({cell.note})" if cell.note else "")
    return f"{text}, 95 % interval {value_text(measure, cell.low)} to {value_text(measure, cell.high)}"


def _interval(measure: Measure, d: Difference) -> str:
    """Return a difference with its interval and, among several arms, Holm's p."""
    unit = "points" if measure.unit == "%" else measure.unit
    estimate = f"{d.estimate * measure.factor:+.{measure.decimals}f}" + (f" {unit}" if unit else "")
    if d.low is None or d.high is None:
        return f"{estimate}, without an interval"
    assumed = f"; {d.note}" if d.note else ""
    return f"{estimate} (95 % interval {range_text(measure, d.low, d.high)}{assumed})"


def _compared(measure: Measure, d: Difference) -> str:
    words = {"better": "is better", "worse": "is worse", "open": "is not told apart", "unknown": "has no interval"}
    return f"{d.arm} {words[d.verdict]}, {_interval(measure, d)}{_adjusted(d)}"


def _settled_by(found: Findings, d: Difference) -> str:
    """Return what would settle one open difference: seeds and time, or examples."""
    size = amount_text(found.measure, d.estimate)
    if d.seeds_to_settle is None:
        if d.example_floor is not None and abs(d.estimate) <= d.example_floor:
            floor = amount_text(found.measure, d.example_floor)
            return (
                f"{d.arm} or {d.baseline}: more seeds alone cannot show a difference as small as {size}. With these "
                f"examples no number of seeds finds less than {floor}; more test examples would."
            )
        return f"{d.arm} or {d.baseline}: over 1000 seeds for each arm would be needed to show a difference of {size}."
    counts = {cell.arm: len(cell.values) for cell in found.cells}
    more = [max(d.seeds_to_settle - counts[arm], 0) for arm in (d.arm, d.baseline)]
    further = f"{more[0]} more" if more[0] == more[1] else f"{more[0]} and {more[1]} more"
    cost = "" if d.seconds_to_settle is None else f", about {duration_text(d.seconds_to_settle)} of training"
    return (
        f"{d.arm} or {d.baseline}: if the true difference is the observed {size}, {d.seeds_to_settle} seeds for each "
        f"arm ({further}{cost}) tell them apart with a power of 80 %."
    )


def _listed(names: Sequence[str], joint: str = "and") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {joint} {names[-1]}"
