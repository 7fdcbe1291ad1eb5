"""The typed roots of the configs: a key that is not here is an error at composition."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, fields
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from bert_lightning.runs.job import stamp


@dataclass
class DataConfig:
    """Group `data`: a corpus, and how it is split."""

    name: str = MISSING
    corpus: dict[str, Any] = MISSING
    validation_fraction: float = MISSING
    deduplicate: bool = MISSING
    folder: str = MISSING


@dataclass
class TaskConfig:
    """Group `task`: labelled examples, and what is learned from them."""

    path: str | None = MISSING  # the official files, or the user's; null: `hub`
    files: dict[str, Any] = MISSING
    hub: dict[str, Any] | None = None
    columns: dict[str, str] = field(default_factory=dict)
    validation_split: str = "validation"
    validation_fraction: float | None = MISSING
    train_examples: int | None = MISSING
    max_length: int = MISSING
    labels: list[str] | None = MISSING  # null: those found in the training rows
    class_weights: Any = None  # null, balanced, or label -> weight
    kind: dict[str, Any] = MISSING
    term: str = MISSING
    objective: dict[str, Any] = MISSING
    metrics: dict[str, Any] = MISSING
    monitor: str = MISSING  # the metric that decides which checkpoint is the best


@dataclass
class MonitorConfig:
    """By which validation metric the best checkpoint is chosen."""

    metric: str = MISSING
    mode: str = MISSING


@dataclass
class Root:
    """Keys of every verb."""

    name: str = MISSING
    runs: str = MISSING
    job: str | None = None  # set for each job of a sweep, from what the sweep varies


@dataclass
class PrepareConfig(Root):
    """`bert-lightning prepare`."""

    data: DataConfig = MISSING
    tokenizer: dict[str, Any] = MISSING
    workers: int | None = MISSING
    shard: int | None = MISSING
    shards: int = MISSING
    merge: bool = MISSING


@dataclass
class InspectConfig(Root):
    """`bert-lightning inspect`."""

    seed: int = MISSING
    data: DataConfig = MISSING
    tokenizer: dict[str, Any] = MISSING
    examples: dict[str, Any] = MISSING
    masking: dict[str, Any] = MISSING
    batch_size: int = MISSING
    sample: int = MISSING
    show: int = MISSING


@dataclass
class TrainingConfig(Root):
    """Keys of the verbs that train."""

    verb: str = MISSING  # set by the verb: what a run's folder is resumed by
    origin: dict[str, Any] = field(default_factory=dict)  # set by the verb: command, choices of groups, overrides
    launch: str = MISSING
    restarts: int = MISSING
    existing: str = MISSING
    seed: int = MISSING
    batch_size: int = MISSING
    batch_tokens: int | None = None
    compile: bool = False
    num_workers: int = MISSING
    validation_examples: int | None = MISSING
    monitor: MonitorConfig = MISSING
    max_grad_norm: float | None = MISSING
    weight_decay: float = MISSING
    layer_decay: float = MISSING
    optimizer: dict[str, Any] = MISSING
    schedule: dict[str, Any] = MISSING
    trainer: dict[str, Any] = MISSING
    logger: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)


@dataclass
class PublishedConfig:
    """Facts of a recipe's publication. `models` shows them, scale=published and `finetune` use them."""

    source: str | None = None
    sizes: list[str] = field(default_factory=list)  # options of `model` that were published
    by_size: dict[str, list[str]] = field(default_factory=dict)  # overrides that a size was published with
    vocab_size: int | None = None
    batch_size: int | None = None
    max_steps: int | None = None
    max_length: int | None = None
    lr: float | None = None
    warmup: float | None = None  # share of the budget
    recipe: str | None = None  # option of `recipe` that `finetune` takes for such an encoder; null: BERT's


@dataclass
class PretrainConfig(TrainingConfig):
    """`bert-lightning pretrain`."""

    verb: str = "pretrain"
    budget: dict[str, Any] = MISSING
    published: PublishedConfig = field(default_factory=PublishedConfig)
    data: DataConfig = MISSING
    tokenizer: dict[str, Any] = MISSING
    model: dict[str, Any] = MISSING
    start: str | None = None
    teacher: str | None = None
    examples: dict[str, Any] = MISSING
    masking: dict[str, Any] = MISSING
    objective: dict[str, Any] = MISSING
    metrics: dict[str, dict[str, Any]] = MISSING


@dataclass
class FinetuneConfig(TrainingConfig):
    """`bert-lightning finetune`."""

    verb: str = "finetune"
    encoder: str = MISSING
    random_weights: bool = MISSING
    dropout_rate: float | None = MISSING
    classifier_pooling: str | None = MISSING
    epochs: float = MISSING
    frozen_blocks: int | None = MISSING
    task: TaskConfig = MISSING


@dataclass
class EvaluateConfig(Root):
    """`bert-lightning evaluate`."""

    run: str = MISSING
    task: TaskConfig | None = None
    split: str = MISSING
    path: str | None = None
    max_examples: int | None = None
    output: str | None = None
    batch_size: int = 32


@dataclass
class PredictConfig(Root):
    """`bert-lightning predict`."""

    run: str = MISSING
    texts: list[str] | None = None
    file: str | None = None
    output: str | None = None
    top_k: int = 5
    batch_size: int = 32


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
    tasks: list[str] = MISSING
    seeds: list[int] = MISSING
    finetune: list[str] = MISSING


@dataclass
class DemoConfig(Root):
    """`bert-lightning demo`."""

    seed: int = MISSING
    pretrain: list[str] = MISSING
    finetune: list[str] = MISSING
    seeds: list[int] = MISSING
    sentences: list[str] = MISSING


@dataclass
class BenchConfig(Root):
    """`bert-lightning bench`."""

    seed: int = MISSING
    model: dict[str, Any] = MISSING
    precision: str = MISSING
    batch_size: int = MISSING
    max_length: int = MISSING
    median_length: float | None = MISSING
    steps: int = MISSING


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


def register() -> None:
    """Make known to Hydra the schemas, as `pretrain_schema` and so on, and resolvers.

    `${count:...}` is the length of a node, `${new_id:}` another one for each run, `${stamp:}` the job or the time;
    `${training_precision:}` is bf16-mixed where bfloat16 is fast, else 32-true.
    """
    for verb, schema in SCHEMAS.items():
        ConfigStore.instance().store(name=f"{verb}_schema", node=schema)
    OmegaConf.register_new_resolver("count", len, replace=True)
    OmegaConf.register_new_resolver("stamp", stamp, replace=True)
    OmegaConf.register_new_resolver("new_id", lambda: uuid.uuid4().hex[:8], replace=True)
    OmegaConf.register_new_resolver("training_precision", _training_precision, replace=True)


def _training_precision() -> str:
    from bert_lightning.callbacks.machine import training_precision

    return training_precision()


def keys() -> set[str]:
    """The top-level keys of all verbs."""
    return {field.name for schema in SCHEMAS.values() for field in fields(schema)}
