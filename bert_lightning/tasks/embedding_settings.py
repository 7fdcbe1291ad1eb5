"""How a checkpoint makes embeddings of texts: the pooling and the scaling that it was trained with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from omegaconf import DictConfig

from bert_lightning.model.heads import POOLINGS
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.tasks.registry import REGISTRY, with_names, with_paths

_TRAINED_FOR_EMBEDDINGS = ("contrastive", "similarity")  # registered names of objectives


class EmbeddingSettings(NamedTuple):
    """The pooling of hidden states, a key of `POOLINGS`, and whether embeddings are scaled to length 1."""

    pooling: str = "mean"
    normalize: bool = False


def embedding_settings(source: PretrainedWeights) -> EmbeddingSettings:
    """Return the settings that a checkpoint was trained with. Others than of embeddings have means without scaling."""
    task = source.metadata.get("task")
    objective = with_names(task.get("objective")) if isinstance(task, Mapping) else None
    if not isinstance(objective, Mapping) or objective.get("_target_") not in _TRAINED_FOR_EMBEDDINGS:
        return EmbeddingSettings()
    pooling: Any = objective.get("pooling")
    if isinstance(pooling, Mapping):  # a function in the registry; a user's own has no name here
        function = REGISTRY.get(str(pooling.get("_target_")))
        pooling = next((name for name, each in POOLINGS.items() if each is function), None)
    return EmbeddingSettings(pooling if isinstance(pooling, str) and pooling in POOLINGS else "mean", True)


def embeds_texts(task: DictConfig) -> bool:
    """Return whether a task compares embeddings of texts with the objective `Similarity`, so that it needs no head."""
    objective = task.objective
    return objective is not None and with_names({"_target_": objective.get("_target_")})["_target_"] == "similarity"


def as_embeddings(source: PretrainedWeights, task: DictConfig) -> PretrainedWeights:
    """Return a checkpoint without its own task, and let `task` use the pooling that it was trained with."""
    if "task" in source.metadata:
        function = POOLINGS[embedding_settings(source).pooling]
        name = next(name for name, part in REGISTRY.items() if part is function)
        task.objective.pooling = with_paths({"_target_": name, "_partial_": True})
    return replace(source, metadata={key: value for key, value in source.metadata.items() if key != "task"})
