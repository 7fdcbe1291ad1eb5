"""Compose and check the configs of a study's runs, and compare them with the configs of runs that exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bert_lightning.budget import Steps
from bert_lightning.config.building import build, resolved
from bert_lightning.config.composition import NotComposable, composed
from bert_lightning.config.finalize import finalize, trainer_limits
from bert_lightning.config.validation import check_config
from bert_lightning.errors import UserError
from bert_lightning.runs.compatibility import differing_keys
from bert_lightning.runs.ranks import device_count
from bert_lightning.runtime.environment import note
from bert_lightning.studies.definition import Study
from bert_lightning.studies.planned_runs import PlannedRun

_PLACES = ("name", "runs", "job", "data.folder")  # keys that say where a run and its data lie


class RunConfigs:
    """The configs of a study's runs. Hydra must be initialized.

    Runs that differ only in the values of their seeds and folders share one composition, since it takes a fifth of a
    second.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._templates: dict[tuple[str, tuple[str, ...], tuple[str, ...]], DictConfig] = {}

    def check(self, runs: Sequence[PlannedRun]) -> None:
        """Compose and check the configs of all runs, and print notes about arms that are the same.

        Raises:
            UserError: if a config has a mistake, or arms differ in a key that must be equal.
            NotComposable: if Hydra cannot compose a config.
        """
        for run in runs:
            self._template(run)
        self._check_equal(runs)
        self._note_same_arms(runs)

    def new(self, run: PlannedRun) -> DictConfig:
        """Return the config from which a run is started."""
        with self._naming(run):
            if run.verb != "evaluate":
                return composed(run.verb, run.overrides)
            config = compose(run.verb, run.overrides)
            check_config(config, run.overrides)
            return config

    def differences(self, run: PlannedRun, before: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Return the keys in which an existing run differs from what the study says, with both values.

        Paths are equal if they lead to the same place below the study's folder. So a study may be moved.

        Args:
            run: the run as the study plans it.
            before: the resolved config that the run was started from.
        """
        found = differing_keys(before, self._expected(run, before))
        root = self._study.folder.absolute()
        return {
            key: (theirs, ours)
            for key, (theirs, ours) in found.items()
            if key not in _PLACES and not (isinstance(ours, str) and _same_place(str(theirs), ours, str(root)))
        }

    def _template(self, run: PlannedRun) -> DictConfig:
        key = (run.verb, run.settings, tuple(run.values))
        if key not in self._templates:
            self._templates[key] = self.new(run)
        return self._templates[key]

    def _expected(self, run: PlannedRun, before: Mapping[str, Any]) -> dict[str, Any]:
        """Return the resolved config of a run as a plain mapping. Values that follow from the data are those before."""
        config = deepcopy(self._template(run))
        for key, value in run.values.items():
            OmegaConf.update(config, key, value)
        final = resolved(config) if run.verb == "evaluate" else finalize(config, _derived(run, config, before))
        plain: Any = OmegaConf.to_container(final)
        return {str(key): value for key, value in plain.items()}

    def _check_equal(self, runs: Sequence[PlannedRun]) -> None:
        """Check that the arms that pretrain have the same values of the keys in `equal`."""
        first = _first_pretraining(runs)
        templates = {arm: _with_vocabulary(self._template(run)) for arm, run in first.items()}
        plain: dict[str, Any] = {arm: OmegaConf.to_container(resolved(config)) for arm, config in templates.items()}
        for key in self._study.equal:
            values = {arm: _selected(config, key) for arm, config in plain.items()}
            if values and all(value is _ABSENT for value in values.values()):
                raise UserError(f"{self._study.file}: equal has {key!r}, which is no key of pretrain")
            for arm, value in values.items():
                reference = next(iter(values))
                if repr(value) != repr(values[reference]):
                    name, ours, theirs = _first_difference(key, value, values[reference])
                    raise UserError(
                        f"{self._study.file}: {name} must be equal in all arms, but is {theirs} in {reference} and "
                        f"{ours} in {arm}: change an arm, or take {key} out of equal"
                    )

    def _note_same_arms(self, runs: Sequence[PlannedRun]) -> None:
        """Print a note about arms whose pretraining and fine-tuning have the same configs."""
        seen: dict[tuple[Any, ...], str] = {}
        for arm in self._study.arms.values():
            mine = (run.settings for run in runs if run.arm == arm.label and run.verb != "evaluate")
            sources = (tuple(arm.sources.items()), arm.shared, tuple(arm.encoders.items()))
            same = seen.setdefault((tuple(sorted({*mine})), *sources), arm.label)
            if same != arm.label:
                note(f"{self._study.file}: arms {same} and {arm.label} are the same, so all that differs is chance")

    @contextmanager
    def _naming(self, run: PlannedRun) -> Iterator[None]:
        """Add the place in the study's file to the message of an error in this block."""
        place = f"arms.{run.arm}"
        if run.verb == "evaluate":
            place = f"evaluations.{run.evaluation}"
        elif run.verb == "finetune":
            place = f"finetuning.tasks.{run.task} in arm {run.arm}"
        where = f"{self._study.file}: {place}"
        try:
            yield
        except (HydraException, OmegaConfBaseException) as error:
            raise NotComposable(where, run.verb, run.overrides) from error
        except UserError as error:
            raise UserError(f"{where}: {error}") from None


_ABSENT = object()


def _derived(run: PlannedRun, config: DictConfig, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that the run's verb derives, as `config/finalize.py` does.

    Values that follow from the data are taken from the existing run.
    """
    trainer = config.trainer
    theirs = before.get("trainer")
    theirs = theirs if isinstance(theirs, dict) else {}
    derived: dict[str, Any] = {"trainer.devices": device_count(trainer)}
    if run.verb == "pretrain":
        model = before.get("model")
        if config.model.vocab_size is None and isinstance(model, dict):
            derived["model.vocab_size"] = model.get("vocab_size")
        return derived | trainer_limits(trainer, build(config.budget))
    steps: Any = theirs.get("max_steps") if trainer.max_steps is None else trainer.max_steps
    if trainer.val_check_interval is None:
        return derived | {"trainer.max_steps": steps, "trainer.val_check_interval": theirs.get("val_check_interval")}
    return derived | trainer_limits(trainer, Steps(steps))


def _with_vocabulary(config: DictConfig) -> DictConfig:
    """Return a copy of a pretraining config in which everything has a value, so that it can be resolved."""
    copy = deepcopy(config)
    if copy.model.vocab_size is None:
        copy.model.vocab_size = 1
    return copy


def _first_pretraining(runs: Sequence[PlannedRun]) -> dict[str, PlannedRun]:
    """Return the first pretraining of each arm."""
    found: dict[str, PlannedRun] = {}
    for run in runs:
        if run.verb == "pretrain":
            found.setdefault(run.arm, run)
    return found


def _selected(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = config.get(part, _ABSENT) if isinstance(config, dict) else _ABSENT
    return config


def _first_difference(key: str, ours: Any, theirs: Any) -> tuple[str, Any, Any]:
    """Return the dotted key of the first leaf in which two values differ, and both leaves."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in {**theirs, **ours}:
            one, other = ours.get(name, _ABSENT), theirs.get(name, _ABSENT)
            if repr(one) != repr(other):
                return _first_difference(f"{key}.{name}", one, other)
    shown = ("absent" if value is _ABSENT else value for value in (ours, theirs))
    return (key, *shown)  # type: ignore[return-value]


def _same_place(theirs: str, ours: str, root: str) -> bool:
    """Return whether two paths end alike below the study's folder `root`, wherever the study lay before."""
    try:
        below = Path(ours).absolute().relative_to(root)
    except ValueError:
        return False
    return Path(theirs).parts[-len(below.parts) :] == below.parts
