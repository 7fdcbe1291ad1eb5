"""The schemas of the verbs that read a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from omegaconf import MISSING

from bert_lightning.config.schema_parts import Root, TaskConfig
from bert_lightning.ranges import Count, Empty, OneOf, Seed


@dataclass
class EvaluateConfig(Root):
    """Keys of `bert-lightning evaluate`."""

    run: Any = MISSING  # a text, or a list of texts
    checkpoints: Annotated[str, OneOf(("all", "best", "last"))] | None = None
    task: TaskConfig | None = None
    split: str = MISSING
    path: str | None = None
    max_examples: Count | None = None
    output: str | None = None
    batch_size: Count = 32


@dataclass
class ProbeConfig(Root):
    """Keys of `bert-lightning probe`."""

    run: Any = MISSING  # a text, or a list of texts
    random_weights: bool = MISSING
    seed: Seed = MISSING
    task: TaskConfig = MISSING
    split: str | None = None
    max_states: Count = MISSING
    batch_tokens: Count = MISSING
    output: str | None = None
    figure: str | None = None


@dataclass
class PredictConfig(Root):
    """Keys of `bert-lightning predict`."""

    run: str = MISSING
    texts: list[Annotated[str, Empty()]] | None = None
    file: str | None = None
    output: str | None = None
    top_k: Count = 5
    batch_size: Count = 32


@dataclass
class ExportConfig(Root):
    """Keys of `bert-lightning export`."""

    run: str = MISSING
    output: str = MISSING
    to: Annotated[str, OneOf(("transformers", "sentence_transformers", "onnx", "torch_export"))] = MISSING
    family: str | None = None
    pooling: Annotated[str, OneOf(("mean", "cls", "max"))] | None = None
    normalize: bool | None = None
    outputs: Annotated[str, OneOf(("logits", "hidden_states", "embeddings"))] | None = None
    quantize: Annotated[str, OneOf(("int8",))] | None = None


@dataclass
class VisualizeConfig(Root):
    """Keys of `bert-lightning visualize`."""

    run: str = MISSING
    output: str = MISSING
    texts: list[Annotated[str, Empty()]] | None = None
    top_k: Count = MISSING
    max_tokens: Count = MISSING
    predictions: str | None = None
    max_errors: Count = MISSING
    file: str | None = None
    text_column: str = MISSING
    label_column: str | None = None
    max_texts: Count = MISSING
    pooling: Annotated[str, OneOf(("mean", "cls", "max"))] = MISSING
    layer: int = MISSING
