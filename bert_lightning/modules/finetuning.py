"""The module for fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from bert_lightning.data.labelled.task_types import Prediction, TaskType, Unit
from bert_lightning.metrics import TaskMetric, TaskMetrics
from bert_lightning.modules.base import EncoderModule


class FinetuningModule(EncoderModule):
    """A LightningModule that fine-tunes an encoder and the head of one task.

    Validation decodes predictions and computes the metrics of the verb `evaluate`.

    Args:
        task: the task as plain data: type, objective, labels and maximal length. Checkpoints store it, so `evaluate`
            and `predict` need no config.
        task_type: the task type. It decodes scores into predictions.
        labels: the classes in the order of their scores.
        task_metrics: the metrics of the decoded predictions.
        frozen_blocks: the number of lowest layers to freeze, together with the embeddings; None: freeze nothing.
        parts: the other arguments of `EncoderModule`. The objective has one term.
    """

    def __init__(
        self,
        *,
        task: Mapping[str, Any],
        task_type: TaskType,
        labels: Sequence[str],
        task_metrics: Mapping[str, TaskMetric],
        frozen_blocks: int | None = None,
        **parts: Any,
    ) -> None:
        super().__init__(metrics={}, **parts)
        self.task, self.task_type, self.labels = dict(task), task_type, list(labels)
        (self.term,) = self.objective.terms
        self.validation_metrics: TaskMetrics = TaskMetrics(self.term, task_metrics)  # type: ignore[assignment]
        if frozen_blocks is not None:
            for part in (self.encoder.embeddings, *self.encoder.blocks[:frozen_blocks]):
                part.requires_grad_(False)

    def metadata(self) -> dict[str, Any]:
        return {**super().metadata(), "task": self.task, "labels": self.labels, "max_length": self.task["max_length"]}

    def validation_step(self, batch: Mapping[str, Any], _: int) -> dict[str, list[Prediction]]:
        """Measure a batch, and return its predictions for callbacks."""
        _, terms = self(batch)
        units: list[Unit] = batch["units"].units
        predictions = self.task_type.decode(terms[self.term].logits, units, self.labels)
        self.validation_metrics.update(terms[self.term], predictions, [unit.example for unit in units])
        return {"predictions": predictions}

    def on_validation_epoch_end(self) -> None:
        results = self.validation_metrics.compute_and_reset()
        self.log_dict({f"val/{name}": value.to(torch.float32) for name, value in results.items()})
