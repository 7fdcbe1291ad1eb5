"""`bert-lightning study run` and `study status`: make all runs of a study, and show how far it is."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from bert_lightning.config.building import resolved
from bert_lightning.config.saved import saved_config
from bert_lightning.errors import ExpectedError, UserError
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.trust import trust_targets_of
from bert_lightning.studies.definition import Study
from bert_lightning.studies.planned_runs import PlannedRun, planned_runs
from bert_lightning.studies.records import write_evaluation
from bert_lightning.studies.run_configs import RunConfigs
from bert_lightning.studies.run_states import CHANGED, DONE, FAILED, WAITING, RunState, run_states
from bert_lightning.studies.shards import runs_of_shard
from bert_lightning.studies.status_table import left_text, status_data, status_text
from bert_lightning.studies.study_file import read_study
from bert_lightning.studies.worker import Worker
from bert_lightning.studies.worker_processes import run_workers, start_of_worker, threads_of_job
from bert_lightning.training import continue_run
from bert_lightning.verbs.evaluate import measure_one
from bert_lightning.verbs.finetune import start_finetuning
from bert_lightning.verbs.pretrain import start_pretraining

_TRAIN = {"pretrain": start_pretraining, "finetune": start_finetuning}


class StudyIncomplete(ExpectedError):
    """The error of a study some of whose runs failed or cannot be counted. Exit code 1."""


def run(config: DictConfig) -> None:
    """Run the study, or show its status."""
    action, *folders = config.arguments or [""]
    if action not in ("run", "status") or len(folders) != 1:
        raise UserError("study takes run or status, and a folder: write bert-lightning study run <folder>")
    study = read_study(Path(folders[0]))
    runs, configs = planned_runs(study), RunConfigs(study)
    mine = runs_of_shard(runs, config.shard)
    if action == "status":
        states = run_states(mine, configs)
        as_json = config.format == "json"
        print(json.dumps(status_data(study, states), indent=1) if as_json else status_text(study, states))
        return
    worker = partial(Worker, mine, configs, partial(_execute, configs, runs))
    if (since := start_of_worker()) is not None:
        worker(since).work()
        return
    configs.check(runs)
    before = run_states(mine, configs)
    print(f"{study.title}: {left_text(before)}", flush=True)
    if any(state.state not in (DONE, CHANGED) for state in before):
        if config.jobs == 1:
            torch.set_num_threads(threads_of_job(config.threads, 1))
            worker().work()
        else:
            jobs = min(config.jobs, sum(state.state not in (DONE, CHANGED) for state in before))
            run_workers(_command(study, config), jobs, threads_of_job(config.threads, jobs), time.time())
    _report(study, run_states(mine, configs), config.shard)


def _command(study: Study, config: DictConfig) -> list[str]:
    """Return the arguments of the command line for a worker."""
    sources = HydraConfig.get().runtime.config_sources
    folders = [source.path for source in sources if source.provider == "command-line"]
    flags = [part for folder in folders for part in ("--config-dir", folder)]
    return ["study", *flags, *([f"shard={config.shard}"] if config.shard else []), "--", "run", str(study.folder)]


def _execute(configs: RunConfigs, runs: Sequence[PlannedRun], run: PlannedRun) -> str:
    """Do one run, or continue it, and return what it found in one line."""
    config, folder = configs.new(run), RunFolder(run.folder)
    with ExitStack() as stack:
        for needed in (config, *(configs.new(each) for each in runs if each.folder in run.dependencies)):
            stack.enter_context(trust_targets_of(needed))
        if run.verb == "evaluate":
            option = next((o.partition("=")[2] for o in run.settings if o.startswith("task=")), None)
            result = measure_one(config, option)
            plain: Any = OmegaConf.to_container(resolved(config))
            write_evaluation(run, plain, result)
            return _shown(result["metrics"])
        if folder.config.exists():
            continue_run(saved_config(folder), folder)
        else:
            _TRAIN[run.verb](config)
    metrics, monitored = folder.read_summary()["metrics"], str(config.monitor.metric)
    return _shown({monitored: metrics[monitored]} if monitored in metrics else {})


def _shown(metrics: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())


def _report(study: Study, states: Sequence[RunState], shard: str | None) -> None:
    """Print what became of the runs, and the next command.

    Raises:
        StudyIncomplete: if a run failed, was killed or is changed.
    """
    print(status_text(study, states), flush=True)
    place = shlex.quote(str(study.folder))
    print(f"Next: bert-lightning compare {place} report={shlex.quote(str(study.folder / 'page.html'))}", flush=True)
    counts = {name: sum(state.state == name for state in states) for name in (FAILED, CHANGED, WAITING)}
    rest = sum(state.state != DONE for state in states) - sum(counts.values())
    problems = {
        "failed": counts[FAILED],
        "changed": counts[CHANGED],
        "waiting for such a run": counts[WAITING],
        "unfinished, since their process was killed": rest,
    }
    if found := [f"{number} {what}" for what, number in problems.items() if number]:
        part = f" of shard {shard}" if shard else ""
        raise StudyIncomplete(f"of {len(states)} runs{part}: {', '.join(found)}; the reasons are listed above")
