"""The runs of a study: which there are, where they lie, and which must be done before others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bert_lightning.quoting import quote_for_hydra
from bert_lightning.studies.definition import Study, StudyArm, StudyEvaluation


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study: a pretraining, a fine-tuning or an evaluation.

    `settings` are the overrides that runs of other seeds share, and `values` those of this run alone. An evaluation of
    a pretrained encoder has no task. `dependencies` are the folders of the runs that must be done before.
    """

    arm: str
    seed: int  # pretraining seed
    verb: str  # pretrain, finetune or evaluate
    folder: Path
    name: str  # path of the folder below the study's `runs`
    settings: tuple[str, ...]
    values: Mapping[str, Any]
    task: str | None = None
    finetuning_seed: int | None = None
    evaluation: str | None = None
    dependencies: tuple[Path, ...] = field(default=())

    @property
    def overrides(self) -> list[str]:
        """Return the overrides of the run's verb, deletions last: Hydra deletes no key while its value is null."""
        given = [*self.settings, *(f"{key}={quote_for_hydra(value)}" for key, value in self.values.items())]
        return sorted(given, key=lambda override: override.startswith("~"))

    @property
    def kind(self) -> str:
        """Return what the run does, without arm and seeds, such as `pretrain` or `finetune sentiment`."""
        return " ".join(filter(None, (self.verb, self.evaluation or self.task)))


def planned_runs(study: Study) -> list[PlannedRun]:
    """Return all runs of a study. A run stands after those that it depends on, and one seed comes after another."""
    found: list[PlannedRun] = []
    pretraining = _in_order(study.arms)
    for seed in dict.fromkeys(seed for arm in study.arms.values() for seed in study.seeds_of(arm)):
        found += [_pretraining(study, arm, seed) for arm in pretraining if seed in study.seeds_of(arm)]
        for arm in study.arms.values():
            if seed in study.seeds_of(arm):
                found += _after_pretraining(study, arm, seed)
    return found


def merged_overrides(*lists: Iterable[str]) -> tuple[str, ...]:
    """Return the overrides of all lists. An override replaces those of the same key in earlier lists."""
    found: dict[str, str] = {}
    for override in (override for one in lists for override in one):
        key = override.partition("=")[0].lstrip("+~")
        found.pop(key, None)
        found[key] = override
    return tuple(found.values())


def _in_order(arms: Mapping[str, StudyArm]) -> list[StudyArm]:
    """Return the arms that pretrain, each after the arms that it learns from."""
    found: dict[str, StudyArm] = {}

    def add(arm: StudyArm) -> None:
        for source in arm.sources.values():
            add(arms[source])
        found.setdefault(arm.label, arm)

    for arm in arms.values():
        if arm.pretrains:
            add(arm)
    return list(found.values())


# Overrides of every run. A progress bar of each run would hide the lines of the study.
_ALWAYS = ("existing=resume", "callbacks.progress=null")


def _pretraining(study: Study, arm: StudyArm, seed: int) -> PlannedRun:
    sources = {key: str(_checkpoint(study, label, seed)) for key, label in arm.sources.items()}
    folder, values = _placed(study, arm.label, seed, "pretrain")
    return PlannedRun(
        arm=arm.label,
        seed=seed,
        verb="pretrain",
        folder=folder,
        name=values["name"],
        settings=merged_overrides(_ALWAYS, study.common, study.budget, arm.overrides),
        values={"seed": seed, **sources, **values},
        dependencies=tuple(_folder(study, label, seed, "pretrain") for label in dict.fromkeys(arm.sources.values())),
    )


def _after_pretraining(study: Study, arm: StudyArm, seed: int) -> Iterator[PlannedRun]:
    """Yield the fine-tunings and evaluations of one encoder."""
    owner = arm.shared or arm.label
    needed = () if arm.encoders else (_folder(study, owner, seed, "pretrain"),)
    encoder = arm.encoders.get(seed) or str(_checkpoint(study, owner, seed))
    evaluations = [each for each in study.evaluations if arm.label not in each.without]
    if arm.shared is None:
        for evaluation in (each for each in evaluations if each.task is None):
            yield _evaluation(study, arm, seed, evaluation, encoder, needed)
    for task, overrides in study.tasks.items():
        for finetuning_seed in study.finetuning_seeds:
            folder, values = _placed(study, arm.label, seed, f"finetune/{task}/seed-{finetuning_seed}")
            yield PlannedRun(
                arm=arm.label,
                seed=seed,
                verb="finetune",
                folder=folder,
                name=values["name"],
                settings=merged_overrides(_ALWAYS, ("finetuning=bert",), overrides, arm.finetuning),
                values={"encoder": encoder, "seed": finetuning_seed, **values},
                task=task,
                finetuning_seed=finetuning_seed,
                dependencies=needed,
            )
            for evaluation in (each for each in evaluations if each.task == task):
                weights = str(folder / "checkpoints" / f"{study.checkpoint}.ckpt")
                yield _evaluation(study, arm, seed, evaluation, weights, (folder,), finetuning_seed)


def _evaluation(
    study: Study,
    arm: StudyArm,
    seed: int,
    evaluation: StudyEvaluation,
    weights: str,
    dependencies: tuple[Path, ...],
    finetuning_seed: int | None = None,
) -> PlannedRun:
    end = "" if finetuning_seed is None else f"/seed-{finetuning_seed}"
    folder, values = _placed(study, arm.label, seed, f"evaluate/{evaluation.name}{end}")
    return PlannedRun(
        arm=arm.label,
        seed=seed,
        verb="evaluate",
        folder=folder,
        name=values["name"],
        settings=evaluation.overrides,
        values={"run": weights, **values},
        task=evaluation.task,
        finetuning_seed=finetuning_seed,
        evaluation=evaluation.name,
        dependencies=dependencies,
    )


def _placed(study: Study, label: str, seed: int, end: str) -> tuple[Path, dict[str, str]]:
    """Return the folder of a run, and the config keys that give it."""
    folder = _folder(study, label, seed, end)
    return folder, {"runs": str(study.runs), "name": str(folder.relative_to(study.runs))}


def _folder(study: Study, label: str, seed: int, end: str) -> Path:
    return study.runs / label / f"seed-{seed}" / end


def _checkpoint(study: Study, label: str, seed: int) -> Path:
    return _folder(study, label, seed, "pretrain") / "checkpoints" / f"{study.checkpoint}.ckpt"
