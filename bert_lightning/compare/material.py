"""Read what is to be compared: folders of runs, studies and tables."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bert_lightning.compare.fairness import incomparable_losses
from bert_lightning.compare.labelled_runs import LabelledRun, label_runs, label_study
from bert_lightning.compare.measurement_tables import measurements_of_rows, read_table
from bert_lightning.compare.measurements import Measurement
from bert_lightning.compare.results import ComparedRun
from bert_lightning.compare.run_measurements import measure_runs
from bert_lightning.errors import UserError
from bert_lightning.runs.predictions_file import BITS_PER_BYTE
from bert_lightning.runs.run_records import find_runs, read_runs
from bert_lightning.studies.definition import STUDY_FILE
from bert_lightning.studies.study_file import read_study

Source = str | Path | Mapping[str, Any]


@dataclass
class Material:
    """The things that are compared: measurements, the runs that they come from, and what a study says of them."""

    measurements: list[Measurement] = field(default_factory=list)
    runs: list[LabelledRun] = field(default_factory=list)
    lost: list[ComparedRun] = field(default_factory=list)  # runs that are left out
    notes: dict[Path, list[str]] = field(default_factory=dict)  # folder of a run -> what is wrong with it
    warnings: list[str] = field(default_factory=list)
    title: str = "Comparison"
    arms: list[str] = field(default_factory=list)  # the arms of a study, in its order
    baseline: str | None = None
    primary: str | None = None
    equal: tuple[str, ...] = ()

    def labels(self) -> list[str]:
        """Return the labels of all arms that have a run or a value."""
        named = [m.arm for m in self.measurements] + [run.arm for run in self.runs]
        return list(dict.fromkeys([*(arm for arm in self.arms if arm in named), *named]))


def read_material(source: Source | Sequence[Source]) -> Material:
    """Read folders of runs, of sweeps or of a study, patterns of their paths, CSV files, or rows.

    Losses that do not compare, because the arms predict other tokens, are left out with a warning.

    Raises:
        UserError: if a path does not exist, a table is damaged, or there is nothing to compare.
    """
    sources = [source] if isinstance(source, str | Path | Mapping) else list(source)
    found = Material()
    folders: list[Path] = []
    if rows := [each for each in sources if isinstance(each, Mapping)]:
        found.measurements += measurements_of_rows(rows)
    for path in (place for each in sources if not isinstance(each, Mapping) for place in _paths(str(each))):
        if path.is_file() and path.suffix == ".csv":
            found.measurements += read_table(path)
        elif path.is_dir() and (path / STUDY_FILE).is_file():
            _add_study(found, path)
        elif path.is_dir():
            folders += find_runs(path)
        else:
            raise UserError(f"{path} is neither a folder of runs nor a CSV file: give one of these")
    _add_runs(found, folders)
    measured = measure_runs(found.runs)
    found.measurements += measured.measurements
    found.notes = measured.notes
    found.warnings += [f"{path}: {'; '.join(notes)}" for path, notes in found.notes.items()]
    found.warnings += [f"{run.path}: left out, because {run.note}" for run in found.lost]
    _drop_incomparable_losses(found)
    if not found.measurements and not found.runs:
        lost = f"no run can be compared: {found.lost[0].path}: {found.lost[0].note}" if found.lost else ""
        raise UserError(lost or "there is no run in these folders: give the folder of a run, a sweep or a study")
    return found


def _add_runs(found: Material, folders: Sequence[Path]) -> None:
    in_study = {run.record.path.resolve() for run in found.runs}
    unique = {folder.resolve(): folder for folder in reversed(folders)}  # one run may be given by several paths
    records = read_runs(folder for place, folder in reversed(unique.items()) if place not in in_study)
    labelled = label_runs(records)
    known = {run.record.path for run in labelled}
    for record in records:
        if record.path not in known:
            found.lost.append(_lost(LabelledRun(record, "", 0), record.note or "it has no config"))
    found.runs += labelled


def _add_study(found: Material, folder: Path) -> None:
    from bert_lightning.studies.planned_runs import planned_runs
    from bert_lightning.studies.run_configs import RunConfigs  # imports Hydra, which is slow
    from bert_lightning.studies.run_states import CHANGED, DONE, run_states

    study = read_study(folder)
    states = run_states(planned_runs(study), RunConfigs(study))
    changed = {state.run.folder.resolve(): state.note for state in states if state.state == CHANGED}
    for run in label_study(study):
        if (note := changed.get(run.record.path.resolve())) is None:
            found.runs.append(run)
        else:
            found.lost.append(_lost(run, f"study.yaml now asks for another run ({note})"))
    if left := sum(state.state not in (DONE, CHANGED) for state in states):
        status = f"bert-lightning study status {folder}"
        found.warnings.append(f"{left} of {len(states)} runs of the study are not done: {status}")
    found.title, found.arms, found.baseline = study.title, list(study.arms), study.baseline
    found.primary, found.equal = study.measure, study.equal


def _lost(run: LabelledRun, note: str) -> ComparedRun:
    record = run.record
    return ComparedRun(
        str(record.path), run.arm, record.verb or "", record.state, run.seed if run.arm else None,
        run.finetuning_seed, run.task, run.commit, None, note,
    )  # fmt: skip


def _paths(text: str) -> list[Path]:
    """Return the path, or the paths that a pattern matches.

    Raises:
        UserError: if there is none.
    """
    place = Path(text).expanduser()
    if place.exists():
        return [place]
    matches = sorted(glob.glob(str(place)))
    if not matches:
        raise UserError(f"{text} does not exist: give folders of runs, a study or a .csv, or a pattern like 'runs/a*'")
    return [Path(match) for match in matches]


def _drop_incomparable_losses(found: Material) -> None:
    spoiled = incomparable_losses(found.runs)
    names = list(dict.fromkeys(m.measure for m in found.measurements if m.measure.startswith("val/")))
    if spoiled and names:
        found.warnings.append(f"{', '.join(names)}: not compared, because the arms differ in {spoiled}")
        found.measurements = [m for m in found.measurements if m.measure not in names]
    words = [m for m in found.measurements if m.measure == BITS_PER_BYTE]
    if len({frozenset(m.examples or ()) for m in words}) > 1:
        found.warnings.append(f"{BITS_PER_BYTE}: not compared, because the runs masked words of different texts")
        found.measurements = [m for m in found.measurements if m.measure != BITS_PER_BYTE]
