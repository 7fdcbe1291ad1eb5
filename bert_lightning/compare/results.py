"""The results of a comparison as plain data. Tables, figures and the page show this data and compute nothing.

A comparison has arms (what is compared), measures (what is measured) and runs. `dataclasses.asdict` of a `Comparison`
is JSON. All values are in the unit of their measure: an accuracy is between 0 and 1, and only its display is in %.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bert_lightning.runs.json_numbers import finite


@dataclass(frozen=True)
class Measure:
    """One measured quantity.

    `name` identifies it, as in `sentiment/accuracy` or `val/mlm/loss`. `examples` is the number of examples behind one
    value; None if only whole values are known. `factor` and `decimals` say how a value is displayed.
    """

    name: str
    label: str
    higher_is_better: bool
    unit: str = ""  # "%", "nats", "bits per byte"; empty: a plain number
    factor: float = 1.0  # displayed value = factor * value
    decimals: int = 2
    examples: int | None = None
    kind: str = "task"  # task, pretraining, evaluation, or average (the mean over tasks)


@dataclass(frozen=True)
class Arm:
    """One side of the comparison: runs that differ in nothing but their seeds.

    `settings` has the config keys in which the arms differ, with this arm's values. `costs` has the mean over the
    pretraining runs of parameters, tokens, flops, tokens_per_second, mfu, memory_bytes, wall_seconds; a key is absent
    if no run knows it.
    """

    label: str
    settings: dict[str, Any] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)
    finetuning_seeds: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class SeedValue:
    """The value of one pretraining seed: the mean over its fine-tuning seeds, whose values are in `finetuned`."""

    seed: int
    value: float
    finetuned: dict[int, float] = field(default_factory=dict)  # fine-tuning seed -> value


@dataclass(frozen=True)
class Cell:
    """One arm on one measure. Its interval covers the mean over new seeds and new examples with probability 95 %.

    `low` and `high` are None where one seed is all there is. `between` and `within` are the standard deviations between
    pretraining seeds and between the fine-tuning seeds of one pretraining seed; None where they cannot be estimated.
    """

    arm: str
    measure: str
    mean: float
    low: float | None
    high: float | None
    between: float | None
    within: float | None
    values: list[SeedValue]
    may_be_best: bool | None  # None: it cannot be told
    note: str = ""  # why there is no interval, or what it assumes


@dataclass(frozen=True)
class Difference:
    """An arm minus the baseline on one measure.

    `verdict` is `better` or `worse` if the interval excludes 0, `open` if not, and `unknown` without an interval.
    """

    arm: str
    baseline: str
    measure: str
    estimate: float
    low: float | None = None
    high: float | None = None
    standard_error: float | None = None
    degrees_of_freedom: float | None = None
    paired: bool = False
    seed_correlation: float | None = None  # of the arms' values over shared seeds; the reason to pair or not
    bootstrap_low: float | None = None
    bootstrap_high: float | None = None
    bootstrap_p: float | None = None
    permutation_p: float | None = None
    permutation_floor: float | None = None  # the smallest p that this number of seeds can give
    holm_p: float | None = None  # `p`, adjusted by Holm over the arms
    p: float | None = None  # two-sided p of the default interval
    verdict: str = "unknown"
    detectable: float | None = None  # smallest true difference found with a power of 80 %
    # Seeds for each arm at which a true difference of this size excludes 0 with a power of 80 %; None: over 1000.
    seeds_to_settle: int | None = None
    seconds_to_settle: float | None = None  # training time of the further seeds of both arms
    example_floor: float | None = None  # smallest true difference that any number of seeds can find on these examples
    holm_tasks_p: float | None = None  # `p` of a task, adjusted by Holm over all arms and all tasks
    note: str = ""  # why there is no interval, or what it assumes


@dataclass(frozen=True)
class Power:
    """The power of the study on one measure: what it can tell."""

    measure: str
    detectable: float | None  # the median over arms of the smallest detectable difference
    between: float | None  # standard deviation between pretraining seeds, pooled over arms
    within: float | None
    signal_to_noise: float | None  # standard deviation of the arms' means divided by the pooled standard error
    best_finetuning_seeds: float | None  # number per pretraining seed with the least variance for the time spent
    decides: bool | None  # whether any pair with the baseline is told apart


@dataclass(frozen=True)
class FairnessCheck:
    """A check that the arms agree in one respect, such as the data or the hardware.

    `status` is `equal`, `different` or `unknown`. `values` has the values where they differ: run or arm -> value.
    `matters` says why a difference here makes the comparison unfair; empty if it only has to be known.
    """

    name: str
    status: str
    keys: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    matters: str = ""


@dataclass(frozen=True)
class Curve:
    """A logged quantity of one run over the budget. All lists have one entry per point; a list may be empty."""

    arm: str
    seed: int
    measure: str
    values: list[float]
    steps: list[float]
    tokens: list[float]
    flops: list[float]
    seconds: list[float]


@dataclass(frozen=True)
class TimeToTarget:
    """The amount that one run spent until a measure first reached a target. None: it never did within its budget."""

    arm: str
    seed: int
    measure: str
    target: float
    steps: float | None
    tokens: float | None
    flops: float | None
    seconds: float | None


@dataclass(frozen=True)
class Breakdown:
    """One measure by a category of its examples, such as the label, the phenomenon or the frequency band."""

    title: str
    measure: str
    categories: list[str]
    counts: list[int]
    values: dict[str, list[float | None]]  # arm -> one value per category


@dataclass(frozen=True)
class ComparedExample:
    """One example with the predictions of all arms. `masked` is true for a sentence whose words are filled in."""

    measure: str
    id: str
    text: str  # empty if the text is not at hand
    gold: str
    predictions: dict[str, list[str]]  # arm -> prediction of each of its runs
    disagreement: float  # 0: all predictions are equal; 1: no two are
    masked: bool = False


@dataclass(frozen=True)
class ComparedRun:
    """One run behind the comparison."""

    path: str
    arm: str
    verb: str
    state: str  # ended, running, interrupted or failed
    seed: int | None
    finetuning_seed: int | None
    task: str | None
    commit: str | None
    wall_seconds: float | None
    note: str = ""  # why it is left out, or what is wrong with it


@dataclass(frozen=True)
class Comparison:
    """Everything that a comparison found."""

    title: str
    baseline: str
    primary: str  # name of the measure that the answer is about
    answer: str  # one sentence
    to_settle: str  # what would settle an open question and what it costs; empty if nothing is open
    arms: list[Arm]
    measures: list[Measure]
    cells: list[Cell]
    differences: list[Difference]
    power: list[Power]
    checks: list[FairnessCheck]
    warnings: list[str]
    curves: list[Curve]
    times_to_target: list[TimeToTarget]
    breakdowns: list[Breakdown]
    examples: list[ComparedExample]
    runs: list[ComparedRun]
    command: str  # the command that makes this comparison again
    commit: str | None
    version: str

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain data for JSON. A number that is not finite becomes None."""
        plain: dict[str, Any] = finite(asdict(self))
        return plain

    def to_html(self) -> str:
        """Return the page of the comparison: one HTML document that needs no other file."""
        from bert_lightning.compare.page import page_html

        return page_html(self)

    def plot(self, folder: str | Path = ".") -> list[Path]:
        """Draw the figures of the comparison into a folder as PNG and SVG, and return their paths.

        Raises:
            UserError: if matplotlib is not installed.
        """
        from bert_lightning.compare.paper_figures import figures

        return figures(self, Path(folder))
