"""Find which runs belong to one arm, from their configs or from the study that made them.

Runs are of one arm if their configs differ in nothing but seeds and places. A fine-tuned run belongs to the arm of the
run that pretrained its encoder, unless the settings of fine-tuning differ, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bert_lightning.compare.encoder_sources import checkpoint_name, short_locations, source_run
from bert_lightning.compare.run_list import short_names, shown, varied_settings
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.run_records import RunRecord, flatten, read_run
from bert_lightning.studies.definition import Study
from bert_lightning.studies.planned_runs import PlannedRun, planned_runs

# Keys that say where, when and beside what a run runs, not what it computes. A key stands for all keys below it.
_IGNORED = (
    "seed", "name", "runs", "job", "verb", "origin", "existing", "launch", "restarts", "num_workers", "logger",
    "callbacks", "debug", "compile", "measure_words", "evaluations", "published", "monitor", "data.folder", "data.name",
    "trainer.devices", "trainer.num_nodes", "trainer.accelerator", "trainer.default_root_dir",
    "trainer.log_every_n_steps", "trainer.enable_progress_bar", "trainer.enable_model_summary",
    "trainer.enable_checkpointing",
)  # fmt: skip
_WEIGHTS = ("teacher", "init_from", "encoder")  # keys that name the run whose weights are read
_NO_CAUSE = (*_WEIGHTS, "seed", "task", "monitor.metric")  # given keys that do not name an arm


@dataclass(frozen=True)
class LabelledRun:
    """A run of one arm, with its seeds. `finetuning_seed` and `task` are None for a pretraining."""

    record: RunRecord
    arm: str
    seed: int
    finetuning_seed: int | None = None
    task: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)  # what the arm computes, by dotted key

    @property
    def commit(self) -> str | None:
        """The commit that made the run, if its summary has one."""
        commit = self.record.summary.get("commit")
        return commit if isinstance(commit, str) else None

    @property
    def seconds(self) -> float | None:
        """The wall time of the run, if its summary has it."""
        seconds = self.record.summary.get("wall_seconds")
        return float(seconds) if isinstance(seconds, int | float) else None


def label_study(study: Study) -> list[LabelledRun]:
    """Return the runs of a study that have a folder. Arms and seeds are those that the study gives."""
    return [
        _planned(run, read_run(run.folder))
        for run in planned_runs(study)
        if run.verb != "evaluate" and RunFolder(run.folder).config.exists()
    ]


def label_runs(records: Sequence[RunRecord]) -> list[LabelledRun]:
    """Return the runs with the arms that their configs say. A run without a readable config is left out.

    The pretraining run of a fine-tuned encoder is read for its settings, even if it is not among the records.
    """
    known = {record.path.resolve(): record for record in records if record.config}
    finetuned = [record for record in known.values() if record.verb == "finetune"]
    encoders = {record.path: source_run(record.config.get("encoder"), record, known) for record in finetuned}
    pretrained = {record.path.resolve(): record for record in known.values() if record.verb == "pretrain"}
    pretrained |= {run.path.resolve(): run for run in encoders.values() if run is not None and run.verb == "pretrain"}
    names = _pretraining_names(list(pretrained.values()), known)
    tuning = _finetuning_names(finetuned)
    arms_of_encoders = {path: names.get(run.path.resolve()) for path, run in encoders.items() if run is not None}
    checkpoints: dict[str | None, set[str]] = {}
    for path, arm_of_encoder in arms_of_encoders.items():
        checkpoints.setdefault(arm_of_encoder, set()).add(checkpoint_name(_encoder(known[path.resolve()])))
    outside = [_encoder(record) for record in finetuned if arms_of_encoders.get(record.path) is None]
    outside_names = short_locations(outside, names.values())
    found = [
        LabelledRun(record, names[path], _seed(record), settings=_settings(record, known))
        for path, record in pretrained.items()
        if path in known
    ]
    for record in finetuned:
        source = encoders[record.path]
        location = _encoder(record)
        pretraining = arms_of_encoders.get(record.path)
        checkpoint = checkpoint_name(location) if pretraining and len(checkpoints[pretraining]) > 1 else ""
        base = pretraining or outside_names[location]
        arm = ", ".join(filter(None, (base, checkpoint, tuning[record.path])))
        read = _settings(source, known) if source is not None else {"encoder": location}
        settings = {**read, **_settings(record, known, "finetune.")}
        seed = _seed(source) if source is not None else 0
        found.append(LabelledRun(record, arm, seed, _seed(record), _task(record), settings))
    return found


def _planned(run: PlannedRun, record: RunRecord) -> LabelledRun:
    prefix = "finetune." if run.verb == "finetune" else ""
    return LabelledRun(record, run.arm, run.seed, run.finetuning_seed, run.task, _settings(record, {}, prefix))


def _pretraining_names(records: Sequence[RunRecord], known: Mapping[Path, RunRecord]) -> dict[Path, str]:
    """Return a short name for the arm of each pretraining run, by the settings in which the arms differ."""
    identities = [json.dumps(_settings(record, known), sort_keys=True, default=str) for record in records]
    given = varied_settings(records)
    texts = dict(zip(identities, _texts(given), strict=True))
    if len(set(texts.values())) < len(texts):  # the settings on the command lines do not tell these arms apart
        full = {identity: json.loads(identity) for identity in texts}
        differing = [key for key in _keys(full.values()) if len({repr(s.get(key)) for s in full.values()}) > 1]
        more = dict(zip(full, _texts([{k: s.get(k) for k in differing[:3]} for s in full.values()]), strict=True))
        texts = {key: " ".join(dict.fromkeys(filter(None, (text, more[key])))) for key, text in texts.items()}
    alike: dict[str, list[str]] = {}
    for identity, text in texts.items():
        alike.setdefault(text, []).append(identity)
    unique = {
        identity: f"{text} ({number})" if len(same) > 1 else text
        for text, same in alike.items()
        for number, identity in enumerate(same, 1)
    }
    default = str(records[0].choices().get("variant", "pretrained")) if records else ""
    return {record.path.resolve(): unique[key] or default for record, key in zip(records, identities, strict=True)}


def _finetuning_names(records: Sequence[RunRecord]) -> dict[Path, str]:
    """Return what tells the fine-tuning of each run from that of the other runs of its task; empty if nothing."""
    found: dict[Path, str] = {}
    for task in dict.fromkeys(map(_task, records)):
        same = [record for record in records if _task(record) == task]
        texts = _texts([{k: v for k, v in s.items() if not k.startswith("task.")} for s in varied_settings(same)])
        found |= {record.path: text for record, text in zip(same, texts, strict=True)}
    return found


def _texts(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a short text for each choice of settings. The option of a group such as `variant` stands alone."""
    causes = [{key: value for key, value in values.items() if key not in _NO_CAUSE} for values in settings]
    names = short_names(_keys(causes))
    return [
        " ".join(
            shown(value) if key in ("variant", "model") and isinstance(value, str) else f"{names[key]}={shown(value)}"
            for key, value in values.items()
            if value is not None
        )
        for values in causes
    ]


def _settings(record: RunRecord, known: Mapping[Path, RunRecord], prefix: str = "") -> dict[str, Any]:
    """Return what a run computes, by dotted key. A run whose weights it reads is named by that run's settings."""
    settings: dict[str, Any] = {}
    for key, value in flatten(record.config):
        top = key.partition(".")[0]
        if any(key == ignored or key.startswith(f"{ignored}.") for ignored in _IGNORED):
            continue
        if prefix and top in ("task", *_WEIGHTS):
            continue
        if top in _WEIGHTS and (source := source_run(value, record, known)) is not None:
            value = f"run with {json.dumps(_settings(source, known), sort_keys=True, default=str)}"
        settings[prefix + key] = value
    return settings


def _encoder(record: RunRecord) -> str:
    return str(record.config.get("encoder"))


def _seed(record: RunRecord) -> int:
    seed = record.config.get("seed", 0)
    return seed if isinstance(seed, int) else 0


def _task(record: RunRecord) -> str:
    """Return the name of a run's task: the option of the group `task`, or else the term of its objective."""
    task = record.config.get("task")
    term = task.get("term", "task") if isinstance(task, dict) else "task"
    return str(record.choices().get("task") or term)


def _keys(settings: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for values in settings for key in values))
