"""The parts of the schemas: data, task, monitor, facts of a paper, and the keys that every verb has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from omegaconf import MISSING

from bert_lightning.ranges import Count, Length, Maker, NotNegative, OneOf, Part, Parts, Range, Share, Whole


@dataclass
class Schema:
    """Base class of schemas. A schema lists config keys with types and limits, which `config/validation.py` checks."""


@dataclass
class DataConfig(Schema):
    """Keys of the config group `data`: a corpus, and how it is split."""

    name: str = MISSING
    corpus: Part = MISSING
    validation_fraction: Annotated[float, Range(above=0, below=1)] = MISSING
    deduplicate: bool = MISSING
    folder: str = MISSING


@dataclass
class VocabularyConfig(Schema):
    """Keys of `vocabulary`: words that are added to the vocabulary of the tokenizer."""

    add: str | None = None  # file with a word on each line
    extend: Whole = 0  # number of words to learn from the training text


@dataclass
class TaskConfig(Schema):
    """Keys of the config group `task`: labelled examples, the task type, its objective and its metrics."""

    path: str | None = MISSING  # folder or file of the official or the user's data; null: the data of `hub`
    files: Part = MISSING
    hub: Part | None = None
    columns: dict[str, str] = field(default_factory=dict)
    validation_split: str = "validation"
    validation_fraction: Annotated[float, Range(above=0, below=1)] | None = MISSING
    train_examples: Count | None = MISSING
    max_length: Length = MISSING
    labels: list[str] | None = MISSING  # null: the labels in the training data
    class_weights: Any = None  # null, balanced, or a mapping of label -> weight
    type: Part = MISSING
    term: str = MISSING
    objective: Maker | None = MISSING  # null: the task is measured without training
    metrics: Parts = MISSING
    monitor: str = MISSING  # the metric that decides which checkpoint is the best


@dataclass
class EvaluationConfig(Schema):
    """Keys of an entry of the config group `evaluations`: what is measured during pretraining, and when."""

    task: TaskConfig = field(default_factory=TaskConfig)
    at: list[Annotated[float, Range(above=0, most=1)]] = MISSING  # fractions of the budget
    every_steps: Count | None = MISSING
    max_states: Count | None = None  # words or texts of each split that probes get at most; null: minimal pairs
    control_task: bool = False  # whether probes of words are measured on a control task too


@dataclass
class MonitorConfig(Schema):
    """Keys that choose the best checkpoint: a validation metric, and whether its lowest or highest value is best."""

    metric: str = MISSING
    mode: Annotated[str, OneOf(("min", "max"))] = MISSING


@dataclass
class PublishedConfig(Schema):
    """Facts from the paper of a variant. `models` shows them; `scale=published` and `finetune` use them."""

    source: str | None = None
    sizes: list[str] = field(default_factory=list)  # options of the group `model` that were published
    by_size: dict[str, list[str]] = field(default_factory=dict)  # option of `model` -> its published overrides
    vocab_size: Count | None = None
    batch_size: Count | None = None
    max_steps: Count | None = None
    max_length: Length | None = None
    lr: NotNegative | None = None
    warmup: Share | None = None  # fraction of the budget
    finetuning: str | None = None  # option of the group `finetuning` for this variant's encoders; null: `bert`


@dataclass
class Root(Schema):
    """Keys that every verb has."""

    name: str = MISSING
    runs: str = MISSING
    job: str | None = None  # set for each job of a sweep: the job's number and its values of the varied keys
