"""Show the variance of the study: between and within seeds, and what it could detect."""

from __future__ import annotations

from bert_lightning.compare.page.display import shown, titled
from bert_lightning.compare.page.lookup import Lookup
from bert_lightning.compare.results import Measure, Power
from bert_lightning.html_page.drawing import Scale, placed
from bert_lightning.html_page.markers import marker_path
from bert_lightning.html_page.markup import Markup, element, isolated, joined, note
from bert_lightning.html_page.number_formats import MISSING, known, number, sortable
from bert_lightning.html_page.sortable_table import Column, Entry, data_table


def noise_section(look: Lookup) -> list[Markup]:
    """Return the table of each measure's noise, and the measures that decide nothing."""
    powers = {power.measure: power for power in look.comparison.power}
    pairs = [(measure, powers[measure.name]) for measure in look.measures if measure.name in powers]
    if not pairs:
        return [note("The variance cannot be estimated: it takes at least two pretraining seeds of an arm.")]
    columns = [
        Column("measure"),
        Column("examples", True),
        Column("between seeds", True, "standard deviation between pretraining seeds, pooled over arms"),
        Column("within a seed", True, "standard deviation between the fine-tuning seeds of one pretraining seed"),
        Column("differences of the arms", drawn=True),
        Column("detectable", True, "smallest true difference that this study finds with a power of 80 %"),
        Column("signal / noise", True, "standard deviation of the arms' means, divided by the standard error"),
        Column("best fine-tuning seeds", True, "number for each pretraining seed with the least variance for the time"),
        Column("decides"),
    ]
    rows = [_row(look, measure, power) for measure, power in pairs]
    parts = [data_table("Variance of each measure", columns, rows)]
    idle = [measure for measure, power in pairs if power.decides is False]
    if idle:
        names = joined(part for index, m in enumerate(idle) for part in ((", " if index else ""), isolated(titled(m))))
        parts.append(
            element(
                "p",
                element("b", "Decide nothing here: "),
                names,
                ". No arm differs from the baseline by more than the noise.",
            )
        )
    parts.append(
        note(
            "Detectable: the smallest true difference to the baseline that a study of this size finds in 8 of 10 "
            "repetitions; the median over arms. The marks are the arms' differences to the baseline, the band is what "
            "cannot be detected."
        )
    )
    return parts


def _row(look: Lookup, measure: Measure, power: Power) -> list[Entry]:
    decides = {True: "yes", False: "no", None: "unknown"}[power.decides]
    examples = f"{measure.examples:,}" if measure.examples is not None else MISSING
    return [
        titled(measure),
        (examples, sortable(measure.examples)),
        (shown(power.between, measure), sortable(power.between)),
        (shown(power.within, measure), sortable(power.within)),
        (_band(look, measure, power), sortable(power.signal_to_noise)),
        (shown(power.detectable, measure), sortable(power.detectable)),
        (number(power.signal_to_noise, 1), sortable(power.signal_to_noise)),
        (number(power.best_finetuning_seeds, 1), sortable(power.best_finetuning_seeds)),
        decides,
    ]


def _band(look: Lookup, measure: Measure, power: Power) -> Markup:
    found = [look.differences.get((arm.label, measure.name)) for arm in look.arms]
    dots = [d for d in found if d is not None and known(d.estimate)]
    reach = power.detectable if power.detectable is not None and known(power.detectable) else 0.0
    largest = max([reach, *(abs(d.estimate) for d in dots)], default=0.0) or 1.0
    scale = Scale(-1.1 * largest, 1.1 * largest)
    low, high = scale.percent(-reach), scale.percent(reach)
    shapes = [element("rect", x=f"{low}%", width=f"{high - low}%", y=3, height=16, rx=2, class_="band")]
    shapes.append(element("line", x1="50%", x2="50%", y1=0, y2=22, class_="zero"))
    for d in dots:
        marker = marker_path(look.number(d.arm))
        shapes.append(placed(scale.percent(d.estimate), 11, marker, f"dot {look.css(d.arm)}"))
    words = "; ".join(f"{d.arm} {shown(d.estimate, measure, True)}" for d in dots)
    return element(
        "svg", element("title", words), shapes, width="100%", height=22, role="img", aria_label=words, class_="strip"
    )
