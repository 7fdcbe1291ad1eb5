"""Registered names of the parts that a fine-tuned checkpoint holds: task types, objectives, poolings and their losses.

A checkpoint holds these names instead of Python paths, so it still loads after a class has moved. To register a part,
add one entry. Never change or reuse a name, because checkpoints hold it. A user's own class keeps its Python path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bert_lightning.data.labelled.choices import Choices
from bert_lightning.data.labelled.contrastive import ContrastivePairs
from bert_lightning.data.labelled.minimal_pairs import MinimalPairs
from bert_lightning.data.labelled.questions import Questions
from bert_lightning.data.labelled.retrieval import Retrieval
from bert_lightning.data.labelled.texts import (
    PairClassification,
    TextClassification,
    TextPairRegression,
    TextPairSimilarity,
)
from bert_lightning.data.labelled.words import TaggedWords, WordClassification
from bert_lightning.model.heads import first_token_pooling, max_pooling, mean_pooling
from bert_lightning.objectives.contrastive import Contrastive
from bert_lightning.objectives.downstream import (
    Classification,
    MultipleChoice,
    Regression,
    SpanExtraction,
    TokenClassification,
)
from bert_lightning.objectives.similarity import CosineError, InBatchContrast, Similarity

REGISTRY: dict[str, Callable[..., Any]] = {
    # task types
    "text_classification": TextClassification,
    "pair_classification": PairClassification,
    "text_pair_regression": TextPairRegression,
    "text_pair_similarity": TextPairSimilarity,
    "tagged_words": TaggedWords,
    "word_classification": WordClassification,
    "questions": Questions,
    "choices": Choices,
    "contrastive_pairs": ContrastivePairs,
    "retrieval": Retrieval,
    "minimal_pairs": MinimalPairs,
    # objectives
    "classification": Classification,
    "regression": Regression,
    "similarity": Similarity,
    "contrastive": Contrastive,
    "token_classification": TokenClassification,
    "span_extraction": SpanExtraction,
    "multiple_choice": MultipleChoice,
    # poolings, and the losses of pairs of embeddings
    "mean": mean_pooling,
    "first_token": first_token_pooling,
    "max": max_pooling,
    "cosine_error": CosineError,
    "in_batch_contrast": InBatchContrast,
}
_PATHS = {name: f"{part.__module__}.{part.__qualname__}" for name, part in REGISTRY.items()}
_NAMES = {path: name for name, path in _PATHS.items()}


def is_registered(make: Any) -> bool:
    """Return whether a class or a function, or the one that a partial calls, is a registered part."""
    return getattr(make, "func", make) in REGISTRY.values()


def with_names(node: Any) -> Any:
    """Return a copy of a config in which each `_target_` is the registered name of its part, if it has one."""
    return _translated(node, _NAMES)


def with_paths(node: Any) -> Any:
    """Return a copy of a checkpoint's metadata in which each `_target_` is a Python path."""
    return _translated(node, _PATHS)


def _translated(node: Any, table: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        return [_translated(child, table) for child in node]
    if not isinstance(node, Mapping):
        return node
    translated = {name: _translated(child, table) for name, child in node.items()}
    target = translated.get("_target_")
    return translated | {"_target_": table.get(target, target)} if isinstance(target, str) else translated
