"""The schemas of the configs: every key of every verb, with its type and its limits.

A key that is not here is an error at composition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from omegaconf import MISSING

from bert_lightning.ranges import (  # fmt: skip
    Count,
    Empty,
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
    Share,
    Whole,
)


@dataclass
class Schema:
    """Keys of a config, with their types and limits: `verbs/validation.py` checks values by them."""


@dataclass
class DataConfig(Schema):
    """Group `data`: a corpus, and how it is split."""

    name: str = MISSING
    corpus: Part = MISSING
    validation_fraction: Annotated[float, Range(above=0, below=1)] = MISSING
    deduplicate: bool = MISSING
    folder: str = MISSING


@dataclass
class TaskConfig(Schema):
    """Group `task`: labelled examples, and what is learned from them."""

    path: str | None = MISSING  # the official files, or the user's; null: `hub`
    files: Part = MISSING
    hub: Part | None = None
    columns: dict[str, str] = field(default_factory=dict)
    validation_split: str = "validation"
    validation_fraction: Annotated[float, Range(above=0, below=1)] | None = MISSING
    train_examples: Count | None = MISSING
    max_length: Length = MISSING
    labels: list[str] | None = MISSING  # null: those found in the training rows
    class_weights: Any = None  # null, balanced, or label -> weight
    kind: Part = MISSING
    term: str = MISSING
    objective: Maker = MISSING
    metrics: Parts = MISSING
    monitor: str = MISSING  # the metric that decides which checkpoint is the best


@dataclass
class MonitorConfig(Schema):
    """By which validation metric the best checkpoint is chosen."""

    metric: str = MISSING
    mode: Annotated[str, OneOf(("min", "max"))] = MISSING


@dataclass
class Root(Schema):
    """Keys of every verb."""

    name: str = MISSING
    runs: str = MISSING
    job: str | None = None  # set for each job of a sweep, from what the sweep varies


@dataclass
class PrepareConfig(Root):
    """`bert-lightning prepare`."""

    data: DataConfig = MISSING
    tokenizer: Part = MISSING
    workers: Count | None = MISSING
    shard: Whole | None = MISSING
    shards: Count = MISSING
    merge: bool = MISSING


@dataclass
class InspectConfig(Root):
    """`bert-lightning inspect`."""

    seed: Seed = MISSING
    data: DataConfig = MISSING
    tokenizer: Part = MISSING
    examples: Maker = MISSING
    masking: Part = MISSING
    batch_size: Count = MISSING
    sample: Count = MISSING
    show: Whole = MISSING


@dataclass
class TrainingConfig(Root):
    """Keys of the verbs that train."""

    verb: str = MISSING  # set by the verb: what a run's folder is resumed by
    origin: dict[str, Any] = field(default_factory=dict)  # set by the verb: command, choices of groups, overrides
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
class PublishedConfig(Schema):
    """Facts of a recipe's publication. `models` shows them, scale=published and `finetune` use them."""

    source: str | None = None
    sizes: list[str] = field(default_factory=list)  # options of `model` that were published
    by_size: dict[str, list[str]] = field(default_factory=dict)  # overrides that a size was published with
    vocab_size: Count | None = None
    batch_size: Count | None = None
    max_steps: Count | None = None
    max_length: Length | None = None
    lr: NotNegative | None = None
    warmup: Share | None = None  # share of the budget
    recipe: str | None = None  # option of `recipe` that `finetune` takes for such an encoder; null: BERT's


@dataclass
class PretrainConfig(TrainingConfig):
    """`bert-lightning pretrain`."""

    verb: str = "pretrain"
    budget: Part = MISSING
    published: PublishedConfig = field(default_factory=PublishedConfig)
    data: DataConfig = MISSING
    tokenizer: Part = MISSING
    model: Part = MISSING
    start: str | None = None
    teacher: str | None = None
    examples: Maker = MISSING
    masking: Part = MISSING
    objective: Maker = MISSING
    metrics: dict[str, Parts] = MISSING


@dataclass
class FinetuneConfig(TrainingConfig):
    """`bert-lightning finetune`."""

    verb: str = "finetune"
    encoder: str = MISSING
    random_weights: bool = MISSING
    dropout_rate: Annotated[float, Range(least=0, below=1)] | None = MISSING
    classifier_pooling: str | None = MISSING
    epochs: Annotated[float, Range(above=0, most=1e6)] = MISSING
    frozen_blocks: Whole | None = MISSING
    task: TaskConfig = MISSING


@dataclass
class EvaluateConfig(Root):
    """`bert-lightning evaluate`."""

    run: str = MISSING
    task: TaskConfig | None = None
    split: str = MISSING
    path: str | None = None
    max_examples: Count | None = None
    output: str | None = None
    batch_size: Count = 32


@dataclass
class PredictConfig(Root):
    """`bert-lightning predict`."""

    run: str = MISSING
    texts: list[Annotated[str, Empty()]] | None = None
    file: str | None = None
    output: str | None = None
    top_k: Count = 5
    batch_size: Count = 32


@dataclass
class ExportConfig(Root):
    """`bert-lightning export`."""

    run: str = MISSING
    output: str = MISSING
    family: str | None = None


@dataclass
class GlueConfig(Root):
    """`bert-lightning glue`."""

    encoder: str = MISSING
    path: str | None = None
    folders: dict[str, str] = MISSING
    tasks: Annotated[list[str], NotEmpty()] = MISSING
    seeds: Annotated[list[Seed], NotEmpty()] = MISSING
    finetune: list[str] = MISSING


@dataclass
class DemoConfig(Root):
    """`bert-lightning demo`."""

    seed: Seed = MISSING
    pretrain: list[str] = MISSING
    finetune: list[str] = MISSING
    seeds: Annotated[list[Seed], NotEmpty()] = MISSING
    sentences: Annotated[list[str], NotEmpty()] = MISSING


@dataclass
class BenchConfig(Root):
    """`bert-lightning bench`."""

    seed: Seed = MISSING
    model: Part = MISSING
    precision: Annotated[str, OneOf(("32-true", "bf16-mixed"))] = MISSING
    batch_size: Count = MISSING
    max_length: Length = MISSING
    median_length: Annotated[float, Range(least=2)] | None = MISSING
    steps: Count = MISSING


@dataclass
class RecipesConfig(Root):
    """`bert-lightning models` and `diff`: overrides of `pretrain`."""

    overrides: list[str] = MISSING


SCHEMAS: dict[str, type[Root]] = {
    "prepare": PrepareConfig,
    "inspect": InspectConfig,
    "pretrain": PretrainConfig,
    "finetune": FinetuneConfig,
    "evaluate": EvaluateConfig,
    "predict": PredictConfig,
    "export": ExportConfig,
    "glue": GlueConfig,
    "models": RecipesConfig,
    "diff": RecipesConfig,
    "demo": DemoConfig,
    "bench": BenchConfig,
}
