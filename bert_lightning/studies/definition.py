"""The definition of a study, as `study.yaml` gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

STUDY_FILE = "study.yaml"
ENCODER_SEED = 0  # the pretraining seed of an arm whose only encoder is an outside one


@dataclass(frozen=True)
class StudyArm:
    """One side of a study. It pretrains, or shares the pretraining of another arm, or has encoders from outside.

    `overrides` are those of `pretrain`. `sources` maps a key of `pretrain`, such as `teacher`, to the arm whose run of
    the same seed is its value. `shared` is the arm whose pretraining this arm shares. `encoders` maps a pretraining
    seed to the location of an encoder from outside. `finetuning` has overrides of `finetune` for this arm alone.
    """

    label: str
    overrides: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    shared: str | None = None
    encoders: Mapping[int, str] = field(default_factory=dict)
    finetuning: tuple[str, ...] = ()

    @property
    def pretrains(self) -> bool:
        """Return whether the arm has pretraining runs of its own."""
        return self.shared is None and not self.encoders


@dataclass(frozen=True)
class StudyEvaluation:
    """Overrides of `evaluate`, for every fine-tuned run of `task`. Without a task: for every pretrained encoder.

    `without` has the arms that are not evaluated.
    """

    name: str
    overrides: tuple[str, ...]
    task: str | None = None
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """A study: arms that differ in known settings, and everything that they share.

    `common` and `budget` are overrides of every pretraining. `tasks` maps a task's name to overrides of `finetune`.
    `equal` has config keys that must have the same values in all arms that pretrain. `measure` is the primary measure.
    `checkpoint` is `last` or `best`: the checkpoint that is fine-tuned and evaluated.
    """

    folder: Path
    title: str
    arms: Mapping[str, StudyArm]
    seeds: tuple[int, ...] = (0,)
    common: tuple[str, ...] = ()
    budget: tuple[str, ...] = ()
    finetuning_seeds: tuple[int, ...] = (0,)
    tasks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    evaluations: tuple[StudyEvaluation, ...] = ()
    baseline: str = ""
    measure: str | None = None
    equal: tuple[str, ...] = ()
    checkpoint: str = "last"

    @property
    def file(self) -> Path:
        return self.folder / STUDY_FILE

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def seeds_of(self, arm: StudyArm) -> tuple[int, ...]:
        """Return the pretraining seeds of an arm."""
        return tuple(arm.encoders) or self.seeds
