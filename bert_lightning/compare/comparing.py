"""Compare runs, a study or a table of measured values, and return everything that was found as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bert_lightning import __version__
from bert_lightning.compare import curves
from bert_lightning.compare.analysis import AVERAGE, analyse
from bert_lightning.compare.fairness import DIFFERENT, fairness_checks, incomparable_losses
from bert_lightning.compare.labelled_runs import LabelledRun
from bert_lightning.compare.material import Material, Source, read_material
from bert_lightning.compare.results import Arm, ComparedRun, Comparison, FairnessCheck, Measure
from bert_lightning.compare.run_measurements import (
    costs_of_arm,
    monitored_measures,
    ordered_measures,
    seconds_of_seeds,
)
from bert_lightning.compare.shown_predictions import breakdowns, compared_examples
from bert_lightning.errors import UserError
from bert_lightning.runs.predictions_file import BITS_PER_BYTE
from bert_lightning.runtime.environment import git_commit


def compare(
    source: Source | Sequence[Source],
    baseline: str | None = None,
    primary: str | None = None,
    paired: bool = False,
    command: str = "",
) -> Comparison:
    """Compare arms, and return the comparison as plain data with `to_dict()`, `to_html()` and `plot()`.

    Args:
        source: folders of runs, sweeps or a study, or patterns of their paths; or a CSV file with the columns arm,
            seed, task, example, value; or rows with these keys. Several may be given.
        baseline: the arm that others are compared with; None: that of the study, or the first.
        primary: the measure that the answer is about, such as `sentiment/accuracy`; None: that of the study, the
            average over tasks, or the first measure.
        paired: whether arms share something real where they share a seed. Intervals are then about pairs of seeds.
        command: the command that makes this comparison again.

    Raises:
        UserError: if there is nothing to compare, or an arm, measure or file does not exist or is damaged.
    """
    return compare_material(read_material(source), baseline, primary, paired, command)


def compare_material(
    material: Material, baseline: str | None, primary: str | None, paired: bool, command: str
) -> Comparison:
    """Compare what was read. The arguments are those of `compare`."""
    labels = material.labels()
    chosen = _baseline(baseline, material.baseline, labels)
    measures = ordered_measures(material.measurements, monitored_measures(material.runs))
    wanted = _primary(primary, material.primary, measures)
    ordered = sorted(material.measurements, key=lambda m: labels.index(m.arm))
    found = analyse(ordered, measures, chosen, wanted, seconds_of_seeds(material.runs), paired)
    names = [measure.name for measure in found.measures]
    default = AVERAGE if AVERAGE in names else names[0] if names else ""
    checks = fairness_checks(material.runs, material.equal)
    warnings = [*_unfair(checks), *material.warnings, *found.warnings, *_few_seeds(material)]
    drawn = curves.curves([run for run in material.runs if run.task is None])
    if incomparable_losses(material.runs):
        drawn = [curve for curve in drawn if curve.measure in names]  # these losses were left out
    return Comparison(
        title=material.title,
        baseline=chosen,
        primary=wanted or default,
        answer=found.answer,
        to_settle=found.to_settle,
        arms=_arms(material, labels),
        measures=found.measures,
        cells=found.cells,
        differences=found.differences,
        power=found.power,
        checks=checks,
        warnings=list(dict.fromkeys(warnings)),
        curves=drawn,
        times_to_target=curves.times_to_target(drawn, chosen),
        breakdowns=breakdowns(material.runs),
        examples=compared_examples(material.runs),
        runs=[*(_compared_run(run, material) for run in material.runs), *material.lost],
        command=command,
        commit=git_commit(),
        version=__version__,
    )


def _baseline(wanted: str | None, of_study: str | None, labels: Sequence[str]) -> str:
    if wanted is None:
        return of_study or labels[0]
    if wanted not in labels:
        raise UserError(f"baseline={wanted} is no arm here: the arms are {', '.join(labels)}")
    return wanted


def _primary(wanted: str | None, of_study: str | None, measures: Sequence[Measure]) -> str | None:
    """Return the name of the primary measure; None for the average over tasks, or the first measure."""
    names = [measure.name for measure in measures]
    if wanted is not None and wanted not in (AVERAGE, *names):
        raise UserError(f"primary={wanted} is no measure here: the measures are {', '.join((AVERAGE, *names))}")
    if wanted or of_study:
        return wanted or of_study
    tasks = any(measure.kind == "task" for measure in measures)
    return None if tasks else BITS_PER_BYTE if BITS_PER_BYTE in names else None


def _arms(material: Material, labels: Sequence[str]) -> list[Arm]:
    """Return the arms, with the settings in which they differ."""
    settings: dict[str, dict[str, Any]] = {label: {} for label in labels}
    for run in material.runs:
        settings[run.arm] |= run.settings
    keys = list(dict.fromkeys(key for each in settings.values() for key in each))
    differing = [key for key in keys if len({repr(each.get(key)) for each in settings.values()}) > 1]
    arms = []
    for label in labels:
        own = [m for m in material.measurements if m.arm == label]
        costs = costs_of_arm([run for run in material.runs if run.arm == label])
        chosen = _readable({key: settings[label].get(key) for key in differing})
        finetuned = {m.finetuning_seed for m in own if m.finetuning_seed is not None}
        arms.append(Arm(label, chosen, costs, sorted({m.seed for m in own}), sorted(finetuned)))
    return arms


def _readable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without those that follow from others, and with classes without their modules."""
    return {
        key.removesuffix("._target_"): str(value).rpartition(".")[2] if key.endswith("_target_") and value else value
        for key, value in settings.items()
        if not (key.endswith("_partial_") or key.startswith("metrics."))
    }


def _unfair(checks: Sequence[FairnessCheck]) -> list[str]:
    """Return a warning for each difference that makes the comparison unfair."""
    spoiling = [check for check in checks if check.status == DIFFERENT and check.matters]
    return [f"{check.name}: {check.matters} ({_values(check.values)})" for check in spoiling]


def _values(values: Mapping[str, Any]) -> str:
    shown = [f"{arm}: {value}" for arm, value in values.items()]
    return "; ".join(shown[:4]) + (f"; and {len(shown) - 4} more" if len(shown) > 4 else "")


def _few_seeds(material: Material) -> list[str]:
    seeds: dict[str, set[int]] = {}
    for m in material.measurements:
        seeds.setdefault(m.arm, set()).add(m.seed)
    alone = [arm for arm, found in seeds.items() if len(found) == 1]
    have = "has one seed" if len(alone) == 1 else "have one seed each"
    return [f"{', '.join(alone)} {have}: how much another seed would change cannot be said"] if alone else []


def _compared_run(run: LabelledRun, material: Material) -> ComparedRun:
    record = run.record
    notes = [*material.notes.get(record.path, ()), *filter(None, [record.note])]
    return ComparedRun(
        str(record.path), run.arm, record.verb or "", record.state, run.seed, run.finetuning_seed, run.task,
        run.commit, run.seconds, "; ".join(dict.fromkeys(notes)),
    )  # fmt: skip
