"""`bert-lightning glue`: fine-tune an encoder on every GLUE task, with several seeds and the same hyperparameters."""

from __future__ import annotations

import json
import shlex
import statistics
import sys
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import DictConfig

from bert_lightning.config.building import run_folder
from bert_lightning.config.composition import composed
from bert_lightning.errors import UserError
from bert_lightning.quoting import quote_for_hydra
from bert_lightning.runs.trust import trust_targets_of
from bert_lightning.verbs.evaluate import measure_one
from bert_lightning.verbs.finetune import start_finetuning

# Wang et al. 2018, section 3: the score of a task with two metrics is their mean.
SCORES = {
    "cola": ("matthews",),
    "sst2": ("accuracy",),
    "mrpc": ("f1", "accuracy"),
    "stsb": ("pearson", "spearman"),
    "qqp": ("f1", "accuracy"),
    "mnli": ("accuracy",),
    "mnli_mismatched": ("accuracy",),
    "qnli": ("accuracy",),
    "rte": ("accuracy",),
    "wnli": ("accuracy",),
}
_AVERAGED_AS_ONE = ("mnli", "mnli_mismatched")


def run(config: DictConfig) -> None:
    """Fine-tune on each task with each seed, print a table of the scores, and write it to `glue.json`."""
    folder = run_folder(config).path
    if (folder / "glue.json").exists():
        raise UserError(f"{folder} already holds a table: choose another name=..., or delete the folder")
    if not config.seeds or not config.tasks:
        raise UserError(f"seeds={config.seeds} and tasks={config.tasks} must each have one entry or more")
    if unknown := [task for task in config.tasks if task not in SCORES or task == _AVERAGED_AS_ONE[1]]:
        known = ", ".join(name for name in SCORES if name != _AVERAGED_AS_ONE[1])
        raise UserError(f"tasks: {unknown[0]!r} is not a task of GLUE: the tasks are {known}")
    for name, values in (("tasks", config.tasks), ("seeds", config.seeds)):
        if len(set(values)) < len(values):
            raise UserError(f"{name}={list(values)} has an entry twice: give it once")
    places = [] if config.path is None else [_place(config, task) for task in config.tasks]
    if absent := [place for place in places if not place.exists()]:
        raise UserError(
            f"{absent[0]} does not exist: leave its task out with tasks=..., or give its folder with folders.<task>=..."
        )
    jobs = [(task, seed, _composed(config, folder, task, seed)) for task in config.tasks for seed in config.seeds]
    scores: dict[str, list[float]] = {}
    for task, seed, job in jobs:
        print(f"# {task}, seed {seed}", file=sys.stderr, flush=True)
        for name, score in _scores(task, job).items():
            scores.setdefault(name, []).append(score)
    means = average_scores(scores)
    table = {"encoder": config.encoder, "seeds": list(config.seeds), "scores": scores, "averages": means}
    (folder / "glue.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(format_scores(scores, means))
    print(f"# This table is in {folder / 'glue.json'}, beside its runs", file=sys.stderr)


def _place(config: DictConfig, task: str) -> Path:
    """Return the path of a task's files: its folder below `path`."""
    return Path(config.path).expanduser() / str(config.folders[task])


def _composed(config: DictConfig, folder: Path, task: str, seed: int) -> DictConfig:
    """Compose and check the config of one run. All are checked before the first run starts."""
    place = [] if config.path is None else [f"task.path={quote_for_hydra(_place(config, task))}"]
    chosen = any(override.startswith("finetuning=") for override in config.finetune)
    overrides = [*([] if chosen else ["finetuning=bert"]), *config.finetune, f"task={task}", *place]
    overrides += [f"encoder={quote_for_hydra(config.encoder)}", f"seed={seed}", f"runs={quote_for_hydra(folder)}"]
    overrides += [f"name={task}-seed{seed}"]
    print(f"$ bert-lightning finetune {shlex.join(overrides)}", file=sys.stderr)
    return composed("finetune", overrides)


def _scores(task: str, config: DictConfig) -> dict[str, float]:
    """Fine-tune, and return the scores after the last step, in %.

    The last checkpoint is measured, not the best: choosing it on the examples of the score would bias the score.
    """
    folder, summary = start_finetuning(config)
    found = {
        task: _score(task, {n.rpartition("/")[2]: v for n, v in summary["metrics"].items() if n.startswith("val/")})
    }
    if task == _AVERAGED_AS_ONE[0]:
        last = quote_for_hydra(folder.checkpoints / "last.ckpt")
        other = compose("evaluate", [f"run={last}", "split=validation_mismatched"])
        with trust_targets_of(config):
            found[_AVERAGED_AS_ONE[1]] = _score(task, measure_one(other)["metrics"])
    return found


def _score(task: str, metrics: dict[str, Any]) -> float:
    return 100 * statistics.mean(float(metrics[name]) for name in SCORES[task])


def average_scores(scores: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return the mean over the tasks for each seed, with and without WNLI. The two parts of MNLI count as one task."""
    merged = {name: values for name, values in scores.items() if name not in _AVERAGED_AS_ONE}
    if parts := [scores[name] for name in _AVERAGED_AS_ONE if name in scores]:
        merged["mnli"] = [statistics.mean(values) for values in zip(*parts, strict=True)]
    without = {name: values for name, values in merged.items() if name != "wnli"}
    rows = {"average": merged, "average without WNLI": without}
    return {
        name: [statistics.mean(values) for values in zip(*tasks.values(), strict=True)]
        for name, tasks in rows.items()
        if tasks
    }


def format_scores(scores: dict[str, list[float]], means: dict[str, list[float]]) -> str:
    """Return one line per task: its metrics, the mean over the seeds and the standard deviation."""
    lines = []
    for name, values in (scores | means).items():
        spread = f"± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        lines.append(f"{name:22}{', '.join(SCORES.get(name, ())):22}{statistics.mean(values):7.2f} {spread}".rstrip())
    return "\n".join(lines)
