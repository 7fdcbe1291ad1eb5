"""`bert-lightning demo`: a small study on real text that answers what some minutes of pretraining buy."""

from __future__ import annotations

import contextlib
import shlex
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bert_lightning.compare.comparing import compare
from bert_lightning.compare.results import Comparison, Measure
from bert_lightning.config.building import run_folder
from bert_lightning.errors import UserError
from bert_lightning.inference.loaded_model import load
from bert_lightning.runs.atomic_writes import replace_atomically
from bert_lightning.runtime.signals import Interrupted
from bert_lightning.studies.definition import STUDY_FILE, Study
from bert_lightning.studies.planned_runs import PlannedRun, planned_runs
from bert_lightning.studies.run_configs import RunConfigs
from bert_lightning.studies.run_states import DONE, run_states
from bert_lightning.studies.stage_progress import Stage, StageProgress
from bert_lightning.studies.study_file import read_study
from bert_lightning.studies.worker_processes import run_workers, threads_of_job
from bert_lightning.text_table import table
from bert_lightning.verbs.study import StudyIncomplete

_PREPARATION = 60.0  # seconds that the corpus and the start of the processes take, about
_LOG, _PAGE = "study.log", "page.html"


def run(config: DictConfig) -> None:
    """Write the study, make its runs, and show what they found: a table, filled-in sentences and a page."""
    started = time.monotonic()
    if without := [sentence for sentence in config.sentences if "[MASK]" not in sentence]:
        raise UserError(f"sentences: {without[0]!r} has no [MASK] to fill in: add one")
    folder = run_folder(config).path
    study, runs, configs = _planned(config.study, folder)
    print(_opening(study, runs), flush=True)
    _make(study, runs, config.jobs)
    if missing := [state for state in run_states(runs, configs) if state.state != DONE]:
        first = f"{missing[0].run.name}: {missing[0].note or missing[0].state}"
        raise StudyIncomplete(
            f"{len(missing)} of {len(runs)} runs are missing, the first is {first}; see {folder / _LOG}. "
            f"To try again: bert-lightning study run {shlex.quote(str(folder))}"
        )
    found = compare(str(folder), command=f"bert-lightning compare {shlex.quote(str(folder))}")
    with replace_atomically(folder / _PAGE) as file:
        file.write(found.to_html())
    print(_ending(config, study, runs, found, time.monotonic() - started))


def _planned(given: DictConfig, folder: Path) -> tuple[Study, list[PlannedRun], RunConfigs]:
    """Write the study to its folder, and return it with its runs and their configs, all of which are checked.

    Raises:
        UserError: if there is a study already.
    """
    file = folder / STUDY_FILE
    if file.exists():
        raise UserError(f"{folder} has a study: give another name, or continue it by bert-lightning study run {folder}")
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    with replace_atomically(file) as stream:
        stream.write(OmegaConf.to_yaml(given, resolve=True))
    try:
        study = read_study(folder)
        runs, configs = planned_runs(study), RunConfigs(study)
        configs.check(runs)
    except Exception:
        file.unlink()  # so that the corrected command may take the same name
        with contextlib.suppress(OSError):  # another run may have come to the folder of runs
            for path in new:
                path.rmdir()
        raise
    return study, runs, configs


def _opening(study: Study, runs: Sequence[PlannedRun]) -> str:
    """Return the first screen: the question, the arms, and where the output of the runs goes."""
    arms = [(f"  {arm.label}", " ".join(arm.overrides)) for arm in study.arms.values()]
    return f"{study.title}\n\n{table(arms)}\n\n{len(runs)} runs; their output: {study.folder / _LOG}\n"


def _make(study: Study, runs: Sequence[PlannedRun], jobs: int) -> None:
    """Make the runs in processes of their own, and show how far they are.

    Raises:
        Interrupted: if a signal to stop came. The message says how to go on.
    """
    place = shlex.quote(str(study.folder))
    progress = StageProgress(_stages(study, runs, jobs))
    threads, log = threads_of_job(None, jobs), study.folder / _LOG
    try:
        run_workers(["study", "--", "run", str(study.folder)], jobs, threads, time.time(), log, progress.update)
    except Interrupted as stop:
        stopped = str(stop).partition(":")[0]
        raise Interrupted.from_message(f"{stopped}: to continue, run bert-lightning study run {place}") from None
    finally:
        progress.close()


def _stages(study: Study, runs: Sequence[PlannedRun], jobs: int) -> list[Stage]:
    """Return the two stages: pretraining, which takes a known time if the budgets are of minutes, and the rest."""
    pretraining = [run for run in runs if run.verb == "pretrain"]
    rest = [run for run in runs if run.verb != "pretrain"]
    settings = [dict(override.split("=", 1) for override in run.settings if "=" in override) for run in pretraining]
    minutes = [float(each["budget.minutes"]) for each in settings if "budget.minutes" in each]
    seconds = None
    if len(minutes) == len(pretraining):
        seconds = _PREPARATION + 60 * max(max(minutes), sum(minutes) / jobs)
    label = f"pretrain, {len(pretraining)} runs"
    return [Stage(label, pretraining, seconds), Stage(f"fine-tune and evaluate, {len(rest)} runs", rest)]


def _ending(config: DictConfig, study: Study, runs: Sequence[PlannedRun], found: Comparison, seconds: float) -> str:
    """Return the last screen: what was measured, what the encoders fill in, and what to do next."""
    encoders = {run.arm: run.folder for run in runs if run.verb == "pretrain"}
    best, place = encoders[_best_arm(found)], shlex.quote(str(study.folder))
    return "\n".join(
        [
            "",
            _results(found),
            "",
            "The likeliest words for each [MASK]",
            _filled_in(config.sentences, encoders),
            "",
            f"Page    {study.folder / _PAGE}: open it in a browser; it has curves, examples and every run",
            f"Study   {study.file}: change it, copy it",
            f"Took {seconds / 60:.1f} minutes. How much another seed of pretraining would change, one seed cannot say:",
            f"write seeds: [0, 1, 2] into study.yaml, then bert-lightning study run {place}",
            f'Next: bert-lightning predict run={shlex.quote(str(best))} "I want to [MASK] it again."',
        ]
    )


def _results(found: Comparison) -> str:
    """Return the table of what was measured: arms in columns, and the standard deviation over seeds of fine-tuning."""
    cells = {(cell.arm, cell.measure): cell for cell in found.cells}
    measures = [measure for measure in found.measures if measure.kind != "average" and measure.unit != "nats"]
    rows = [["", *(arm.label for arm in found.arms)]]
    for measure in measures:
        label = f"{measure.label} ({measure.unit})" if measure.unit else measure.label
        texts = [_cell(cells.get((arm.label, measure.name)), measure) for arm in found.arms]
        rows.append([label + (" ↑" if measure.higher_is_better else " ↓"), *texts])
    for label, key, factor in (("tokens read (M)", "tokens", 1e-6), ("training FLOPs (10^12)", "flops", 1e-12)):
        costs = [arm.costs.get(key) for arm in found.arms]
        rows.append([label, *("" if cost is None else f"{factor * cost:.1f}" for cost in costs)])
    return table(rows, range(1, len(found.arms) + 1))


def _best_arm(found: Comparison) -> str:
    """Return the label of the arm that is best in the first measure."""
    first = found.measures[0]
    means = {cell.arm: cell.mean for cell in found.cells if cell.measure == first.name}
    return (max if first.higher_is_better else min)(means, key=lambda arm: means[arm])


def _cell(cell: Any, measure: Measure) -> str:
    if cell is None:
        return ""
    finetuned = [value for seed in cell.values for value in seed.finetuned.values()]
    spread = f" ± {measure.factor * statistics.stdev(finetuned):.1f}" if len(finetuned) > 1 else ""
    return f"{measure.factor * cell.mean:.{measure.decimals}f}{spread}"


def _filled_in(sentences: Sequence[str], encoders: dict[str, Path]) -> str:
    """Return a table of sentences and the three likeliest words of each encoder."""
    rows = [[sentence] for sentence in sentences]
    for folder in encoders.values():
        for row, prediction in zip(rows, load(folder).fill_mask(list(sentences), top_k=3), strict=True):
            row.append("; ".join(", ".join(guess["word"] for guess in mask) for mask in prediction["masks"]))
    return table([["", *encoders], *rows])
