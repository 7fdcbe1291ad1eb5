"""The schemas of the configs: every key of every verb, with its type and its limits.

Hydra refuses a key that no schema has when it composes the config.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from omegaconf import MISSING

from bert_lightning.config.checkpoint_schemas import (
    EvaluateConfig,
    ExportConfig,
    PredictConfig,
    ProbeConfig,
    VisualizeConfig,
)
from bert_lightning.config.schema_parts import (
    DataConfig,
    EvaluationConfig,
    MonitorConfig,
    PublishedConfig,
    Root,
    TaskConfig,
    VocabularyConfig,
)
from bert_lightning.ranges import (  # fmt: skip
    Count,
    Length,
    Maker,
    NotEmpty,
    NotNegative,
    OneOf,
    Part,
    Parts,
    Positive,
    Range,
    Seed,
    Whole,
)


@dataclass
class PrepareConfig(Root):
    """Keys of `bert-lightning prepare`."""

    data: DataConfig = MISSING
    tokenizer: Part = MISSING
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    workers: Count | None = MISSING
    shard: Whole | None = MISSING
    shards: Count = MISSING
    merge: bool = MISSING


@dataclass
class InspectConfig(Root):
    """Keys of `bert-lightning inspect`."""

    seed: Seed = MISSING
    data: DataConfig = MISSING
    tokenizer: Part = MISSING
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    examples: Maker = MISSING
    masking: Part = MISSING
    batch_size: Count = MISSING
    sample: Count = MISSING
    show: Whole = MISSING


@dataclass
class TrainingConfig(Root):
    """Keys that all training verbs have."""

    verb: str = MISSING  # set by the verb: the verb that created the run; `resume` reads it
    origin: dict[str, Any] = field(default_factory=dict)  # set by the verb: command, options of groups, overrides
    launch: Annotated[str, OneOf(("auto", "srun", "none"))] = MISSING
    restarts: Whole = MISSING
    existing: Annotated[str, OneOf(("refuse", "resume"))] = MISSING
    seed: Seed = MISSING
    batch_size: Count = MISSING
    batch_tokens: Count | None = None
    compile: bool = False
    num_workers: Whole = MISSING
    validation_examples: Count | None = MISSING
    monitor: MonitorConfig = MISSING
    max_grad_norm: Positive | None = MISSING
    weight_decay: NotNegative = MISSING
    layer_decay: Annotated[float, Range(above=0, most=1)] = MISSING
    optimizer: Maker = MISSING
    schedule: Part = MISSING
    trainer: Maker = MISSING
    logger: Parts = field(default_factory=dict)
    callbacks: Parts = field(default_factory=dict)


@dataclass
class PretrainConfig(TrainingConfig):
    """Keys of `bert-lightning pretrain`."""

    verb: str = "pretrain"
    budget: Part = MISSING
    published: PublishedConfig = field(default_factory=PublishedConfig)
    data: DataConfig = MISSING
    tokenizer: Part = MISSING
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    model: Part = MISSING
    init_from: str | None = None
    extend_positions: Annotated[str, OneOf(("tile", "interpolate"))] = "tile"
    teacher: str | None = None
    measure_words: bool = True
    evaluations: dict[str, EvaluationConfig] = field(default_factory=dict)
    examples: Maker = MISSING
    masking: Part = MISSING
    objective: Maker = MISSING
    metrics: dict[str, Parts] = MISSING


@dataclass
class FinetuneConfig(TrainingConfig):
    """Keys of `bert-lightning finetune`."""

    verb: str = "finetune"
    encoder: str = MISSING
    random_weights: bool = MISSING
    dropout_rate: Annotated[float, Range(least=0, below=1)] | None = MISSING
    classifier_pooling: str | None = MISSING
    epochs: Annotated[float, Range(above=0, most=1e6)] = MISSING
    frozen_blocks: Whole | None = MISSING
    task: TaskConfig = MISSING
    evaluations: dict[str, EvaluationConfig] = field(default_factory=dict)


@dataclass
class GlueConfig(Root):
    """Keys of `bert-lightning glue`."""

    encoder: str = MISSING
    path: str | None = None
    folders: dict[str, str] = MISSING
    tasks: Annotated[list[str], NotEmpty()] = MISSING
    seeds: Annotated[list[Seed], NotEmpty()] = MISSING
    finetune: list[str] = MISSING


@dataclass
class DemoConfig(Root):
    """Keys of `bert-lightning demo`."""

    jobs: Count = MISSING
    study: dict[str, Any] = MISSING
    sentences: Annotated[list[str], NotEmpty()] = MISSING


@dataclass
class BenchConfig(Root):
    """Keys of `bert-lightning bench`."""

    seed: Seed = MISSING
    model: Part = MISSING
    precision: Annotated[str, OneOf(("32-true", "bf16-mixed"))] = MISSING
    batch_size: Count = MISSING
    max_length: Length = MISSING
    median_length: Annotated[float, Range(least=2)] | None = MISSING
    steps: Count = MISSING


@dataclass
class StudyConfig(Root):
    """Keys of `bert-lightning study`."""

    arguments: list[str] = MISSING
    jobs: Count = MISSING
    threads: Annotated[int, Range(least=1, most=1024)] | None = MISSING
    shard: str | None = MISSING
    format: Annotated[str, OneOf(("table", "json"))] = MISSING


@dataclass
class OverridesConfig(Root):
    """Keys of `bert-lightning models` and `bert-lightning diff`. `overrides` are those of `pretrain`."""

    overrides: list[str] = MISSING


@dataclass
class DoctorConfig(OverridesConfig):
    """Keys of `bert-lightning doctor`."""

    format: Annotated[str, OneOf(("table", "json"))] = MISSING


@dataclass
class SweepConfig(Root):
    """Keys of `bert-lightning sweep`."""

    folders: list[str] = MISSING
    format: Annotated[str, OneOf(("table", "json"))] = MISSING


@dataclass
class CompareConfig(Root):
    """Keys of `bert-lightning compare`."""

    sources: list[str] = MISSING
    baseline: str | None = None
    primary: str | None = None
    paired: bool = False
    format: Annotated[str, OneOf(("text", "markdown", "latex", "json", "csv"))] = MISSING
    output: str | None = None
    report: str | None = None
    figures: str | None = None


@dataclass
class RunsConfig(Root):
    """Keys of `bert-lightning runs`."""

    folders: list[str] | None = None
    where: list[str] = MISSING
    sort: str = MISSING
    format: Annotated[str, OneOf(("table", "json"))] = MISSING


SCHEMAS: dict[str, type[Root]] = {
    "prepare": PrepareConfig,
    "inspect": InspectConfig,
    "pretrain": PretrainConfig,
    "finetune": FinetuneConfig,
    "evaluate": EvaluateConfig,
    "probe": ProbeConfig,
    "predict": PredictConfig,
    "visualize": VisualizeConfig,
    "export": ExportConfig,
    "glue": GlueConfig,
    "sweep": SweepConfig,
    "compare": CompareConfig,
    "models": OverridesConfig,
    "diff": OverridesConfig,
    "doctor": DoctorConfig,
    "runs": RunsConfig,
    "demo": DemoConfig,
    "bench": BenchConfig,
    "study": StudyConfig,
}
