"""Read `study.yaml`. Every mistake in it gives an error of one line that names the key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bert_lightning.errors import UserError
from bert_lightning.runs.run_files import read_text
from bert_lightning.studies.definition import ENCODER_SEED, STUDY_FILE, Study, StudyArm, StudyEvaluation
from bert_lightning.studies.planned_runs import merged_overrides
from bert_lightning.studies.yaml_fields import Fields, parse_yaml
from bert_lightning.text.files.paths import PACKAGE_PREFIX
from bert_lightning.text.locations import HUB_PREFIX

_STUDY = ("title", "baseline", "measure", "equal", "checkpoint", "seeds", "budget", "common", "arms", "finetuning",
          "evaluations")  # fmt: skip
_SOURCES = ("teacher", "init_from")  # keys of `pretrain` that may name another arm
_ARM = ("overrides", *_SOURCES, "encoder", "finetuning")
_BUDGETS = ("steps", "tokens", "flops", "minutes")
_CHECKPOINTS = ("last", "best")
_EQUAL = ("budget", "data")  # the keys that must be equal unless the study says otherwise
_PLACES = ("name", "runs", "job")
_START = ("seed", "existing", "verb", "launch", *_PLACES)
# Verb -> the keys that the study itself sets, which its overrides may not have.
_OWN: dict[str, tuple[str, ...]] = {
    "pretrain": _START,
    "finetune": (*_START, "encoder"),
    "evaluate": ("run", *_PLACES),
}


def read_study(folder: Path) -> Study:
    """Return the study that a folder holds.

    Raises:
        UserError: if there is no `study.yaml`, or it has a mistake. The message names the key and the fix.
    """
    file = folder / STUDY_FILE
    if not file.is_file():
        raise UserError(f"{folder} is not a study: it has no {STUDY_FILE}")
    top = Fields(file, "", parse_yaml(file, read_text(file)), _STUDY)
    arms = {label: _arm(top, label, value) for label, value in top.named("arms").items()}
    if not arms:
        raise top.error("arms", "has no arm: give each a label and a list of overrides of pretrain")
    finetuning = Fields(file, "finetuning", top.get("finetuning", {}), ("seeds", "common", "tasks"))
    tasks = _tasks(finetuning)
    study = Study(
        folder=folder,
        title=top.text("title"),
        arms=arms,
        seeds=top.seeds("seeds") or (0,),
        common=_overrides(top, "common", "pretrain"),
        budget=_budget(top),
        finetuning_seeds=finetuning.seeds("seeds") or (0,),
        tasks=tasks,
        evaluations=tuple(_evaluation(top, name, value, tasks) for name, value in top.named("evaluations").items()),
        baseline=top.text("baseline") if "baseline" in top else next(iter(arms)),
        measure=top.text("measure") if "measure" in top else None,
        equal=top.texts("equal") if "equal" in top else _EQUAL,
        checkpoint=top.text("checkpoint") if "checkpoint" in top else "last",
    )
    _check_references(top, study)
    return study


def _arm(top: Fields, label: str, value: Any) -> StudyArm:
    """Return one arm. A list is short for `overrides`."""
    fields = Fields(top.file, f"arms.{label}", {"overrides": value} if isinstance(value, list) else value, _ARM)
    finetuning = _overrides(fields, "finetuning", "finetune")
    if "encoder" not in fields:
        overrides = _overrides(fields, "overrides", "pretrain")
        sources = {key: fields.text(key) for key in _SOURCES if key in fields}
        return StudyArm(label, overrides, sources, finetuning=finetuning)
    if given := [key for key in ("overrides", *_SOURCES) if key in fields]:
        raise fields.error(given[0], "has no effect beside encoder, since the arm does not pretrain: leave it out")
    encoder = fields.get("encoder")
    if isinstance(encoder, dict):
        return StudyArm(label, encoders=_encoders(fields, encoder), finetuning=finetuning)
    location = fields.text("encoder")
    if re.search(r"[/:\\]", location):
        return StudyArm(label, encoders={ENCODER_SEED: location}, finetuning=finetuning)
    return StudyArm(label, shared=location, finetuning=finetuning)


def _encoders(fields: Fields, given: Mapping[Any, Any]) -> dict[int, str]:
    """Return the encoders of an arm by pretraining seed."""
    for seed, location in given.items():
        if type(seed) is not int or seed < 0 or not isinstance(location, str):
            raise fields.error("encoder", f"maps {seed!r} to {location!r}: map pretraining seeds to locations")
    return dict(given)


def _budget(top: Fields) -> tuple[str, ...]:
    """Return the overrides of the study's budget."""
    if "budget" not in top:
        return ()
    fields = Fields(top.file, "budget", top.get("budget"), _BUDGETS)
    names = [name for name in _BUDGETS if name in fields]
    if len(names) != 1:
        raise top.error("budget", f"must have one entry: {', '.join(_BUDGETS)}")
    (name,) = names
    amount = fields.number(name)
    return ("budget=steps", f"trainer.max_steps={amount}") if name == "steps" else (
        f"budget={name}", f"budget.{name}={amount}"
    )  # fmt: skip


def _tasks(finetuning: Fields) -> dict[str, tuple[str, ...]]:
    common = _overrides(finetuning, "common", "finetune")
    found = {}
    for name, value in finetuning.named("tasks").items():
        fields = Fields(finetuning.file, "finetuning.tasks", {name: value}, (name,))
        found[name] = merged_overrides(common, _overrides(fields, name, "finetune"))
    if not found and ("common" in finetuning or "seeds" in finetuning):
        raise finetuning.error("tasks", "has no task: give each a name and a list of overrides of finetune")
    return found


def _evaluation(top: Fields, name: str, value: Any, tasks: Mapping[str, Any]) -> StudyEvaluation:
    """Return one evaluation. A list is short for `overrides`."""
    given = {"overrides": value} if isinstance(value, list) else value
    fields = Fields(top.file, f"evaluations.{name}", given, ("task", "overrides", "without"))
    task = fields.text("task") if "task" in fields else None
    if task is not None and task not in tasks:
        raise fields.error("task", f"is {task!r}, which is no task of this study", near=(task, tasks))
    return StudyEvaluation(name, _overrides(fields, "overrides", "evaluate"), task, fields.texts("without"))


def _overrides(fields: Fields, key: str, verb: str) -> tuple[str, ...]:
    """Return a list of overrides, which may not set a key that the study itself sets."""
    found = fields.texts(key)
    for override in found:
        name, equals, _ = override.partition("=")
        if not equals and not name.startswith("~"):
            raise fields.error(key, f"has {override!r}, which is no override: write key=value")
        if name.lstrip("+~") in _OWN[verb]:
            raise fields.error(key, f"has {override!r}, but the study itself sets {name.lstrip('+~')}: leave it out")
    return found


def _check_references(top: Fields, study: Study) -> None:
    """Check that every name of an arm is one, and that no arm depends on itself."""
    if study.baseline not in study.arms:
        raise top.error("baseline", f"is {study.baseline!r}, which is no arm", near=(study.baseline, study.arms))
    if study.checkpoint not in _CHECKPOINTS:
        raise top.error("checkpoint", f"is {study.checkpoint!r}: it must be {' or '.join(_CHECKPOINTS)}")
    for label, arm in study.arms.items():
        for key, name in {**arm.sources, **({"encoder": arm.shared} if arm.shared else {})}.items():
            where = f"arms.{label}.{key}"
            if name not in study.arms:
                hint = f", nor a path or a location that begins with {PACKAGE_PREFIX} or {HUB_PREFIX}"
                end = hint if key == "encoder" else f"; a location belongs into overrides, as {key}=..."
                raise top.error(where, f"is {name!r}, which is no arm{end}", near=(name, study.arms))
            if not study.arms[name].pretrains:
                raise top.error(where, f"is {name!r}, an arm that does not pretrain: name one that does")
    for evaluation in study.evaluations:
        for name in evaluation.without:
            if name not in study.arms:
                raise top.error(
                    f"evaluations.{evaluation.name}.without",
                    f"has {name!r}, which is no arm",
                    near=(name, study.arms),
                )
    for label in study.arms:
        _check_acyclic(top, study, (label,))


def _check_acyclic(top: Fields, study: Study, through: tuple[str, ...]) -> None:
    for name in study.arms[through[-1]].sources.values():
        if name in through:
            cycle = " -> ".join((*through[through.index(name) :], name))
            raise top.error("arms", f"depend on each other in a cycle ({cycle}): remove one teacher or init_from")
        _check_acyclic(top, study, (*through, name))
