"""Predict with a fine-tuned checkpoint. Everything is read from the checkpoint, and nothing from yaml files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from bert_lightning.data.labelled.examples import labelled_batch
from bert_lightning.data.labelled.task_types import Example, Prediction, TaskType, Unit
from bert_lightning.errors import UserError
from bert_lightning.model.encoder import BERT
from bert_lightning.objectives.base import hidden_states
from bert_lightning.objectives.downstream import TaskObjective
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.runtime.matmul_precision import OneDnnProducts
from bert_lightning.tasks.data import joint_objective
from bert_lightning.tasks.metadata import built_part, class_of_part, task_metadata
from bert_lightning.tasks.tokenized_examples import TokenizedExamples
from bert_lightning.text.tokenizers.recipes import SpecialIds


class Answerer:
    """A predictor of answers: it uses the encoder, the head and the labels of a checkpoint.

    Args:
        source: the checkpoint.
        task: config of a task that needs no trained head, such as similarity. It is used if the checkpoint has no task.
        encoder: its encoder, on the device where it runs; None: a new one, on a GPU if there is one.

    Raises:
        UserError: if the checkpoint lacks a task, or weights of the head.
    """

    def __init__(self, source: PretrainedWeights, task: DictConfig | None = None, encoder: BERT | None = None) -> None:
        metadata: Mapping[str, Any] | None = source.metadata.get("task")
        if metadata is None:
            metadata = _without_a_head(source, task)
        self.task_type: TaskType = built_part(source.path, metadata, "type")
        self.labels: list[str] = metadata["labels"]
        self.num_cut = 0  # examples so far that were cut to the maximal length
        self.max_length: int = min(metadata["max_length"], source.config.max_position_embeddings)
        make_objective = built_part(source.path, metadata, "objective")
        objective = joint_objective(make_objective, metadata["term"], self.labels, source.config)
        (term,) = objective.terms.values()
        assert isinstance(term, TaskObjective), "a task has an objective of its own"
        self.path = source.path
        default = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.encoder = source.encoder().eval().to(default) if encoder is None else encoder
        self.device = self.encoder.embeddings.word.weight.device
        self.objective = term.eval()
        source.fill(term, f"objective.terms.{metadata['term']}.")
        self.tokenizer, self.pad = source.tokenizer, SpecialIds.of(source.tokenizer).pad
        self.objective.to(self.device)

    def __call__(
        self, examples: Sequence[Example], batch_size: int, tokenized: TokenizedExamples | None = None
    ) -> Iterator[tuple[Example, Prediction]]:
        """Yield each example with its prediction, in the given order. `tokenized` may have the tokens already."""
        units = self.units(examples, tokenized)
        for start in range(0, len(units), batch_size):
            part = units[start : start + batch_size]
            for unit, prediction in zip(part, self.predictions(part), strict=True):
                yield unit.example, prediction

    def units(self, examples: Sequence[Example], tokenized: TokenizedExamples | None = None) -> list[Unit]:
        """Return the examples with their tokens. `tokenized` may have the tokens already."""
        tokenized = tokenized or TokenizedExamples()
        units = tokenized.units(self.task_type, examples, self.tokenizer, self.max_length)
        self.num_cut += sum(unit.is_cut for unit in units)
        return units

    @torch.inference_mode()
    def predictions(self, units: Sequence[Unit]) -> list[Prediction]:
        """Return the predictions for one batch."""
        batch = labelled_batch(self.task_type, units, self.pad)
        inputs = {k: v.to(self.device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
        with OneDnnProducts(self.device):
            (hidden,) = hidden_states(self.encoder, inputs, [self.objective.positions(inputs)])
            scores = self.objective.scores(hidden, inputs)
        check_numbers(self.path, scores)
        return self.task_type.decode(scores, units, self.labels)


def check_numbers(path: Path, scores: torch.Tensor) -> None:
    """Check that every score is a number.

    Raises:
        UserError: if a score is NaN, so that there is no answer.
    """
    if scores.isnan().any():
        raise UserError(
            f"{path} computes scores that are not numbers (NaN): use another checkpoint, or train the model again"
        )


def _without_a_head(source: PretrainedWeights, task: DictConfig | None) -> dict[str, Any]:
    """Return metadata for a checkpoint without a task, as a checkpoint that was fine-tuned for `task` would have it.

    Raises:
        UserError: if `task` is None, or its objective learns a head, which the checkpoint lacks.
    """
    if task is None:
        raise UserError(f"{source.path} holds an encoder without the head of a task: fine-tune it first")
    metadata = task_metadata(task, [])
    if class_of_part(source.path, metadata, "objective").learns_a_head:
        name = class_of_part(source.path, metadata, "type").__name__
        raise UserError(f"{source.path} has no head for {name}: fine-tune it for the task first")
    return metadata
