"""Batches of labelled examples, indexed by positions of the training stream."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer

from bert_lightning.data.arrays import Ints
from bert_lightning.data.batch import LabelledBatch
from bert_lightning.data.batching.sampler import Positions, stream_indices
from bert_lightning.data.batching.stream_examples import StreamExamples
from bert_lightning.data.labelled.encoding import collate
from bert_lightning.data.labelled.task_types import Example, TaskType, Unit, Units
from bert_lightning.errors import UserError
from bert_lightning.text.tokenizers.recipes import SpecialIds


class LabelledExamples(StreamExamples[LabelledBatch]):
    """Batches of encoded examples, indexed by positions of the training stream, as in `PretrainingExamples`.

    Args:
        task_type: task type of the examples.
        examples: examples with answers.
        labels: classes in the order of their logits; empty if the task type has no classes.
        tokenizer: tokenizer that encodes the examples.
        max_length: maximal number of tokens in a sequence.
        seed: shuffle seed of the stream, for training. None keeps the order of the examples, and makes each example one
            unit. Training may use smaller units.

    Raises:
        UserError: if there are no examples, or an answer is not among the labels.
    """

    def __init__(
        self,
        task_type: TaskType,
        examples: Sequence[Example],
        labels: Sequence[str],
        tokenizer: Tokenizer,
        max_length: int,
        seed: int | None,
    ) -> None:
        if not examples:
            raise UserError("there are no examples: give a file with at least one row")
        task_type.check(examples, labels)
        units = task_type.encode(examples, tokenizer, max_length)
        self.num_cut = sum(unit.is_cut for unit in units)
        self.units = units if seed is None else task_type.training_units(units)
        self.task_type, self.labels, self.seed = task_type, list(labels), seed
        self.pad = SpecialIds.of(tokenizer).pad
        self._lengths = np.array([sum(len(tokens.ids) for tokens in unit.sequences) for unit in self.units])

    def __len__(self) -> int:
        return len(self.units)

    @property
    def longest(self) -> int:
        """Return the maximal number of tokens in a unit."""
        return int(self._lengths.max())

    def lengths(self, positions: Positions) -> Ints:
        """Return the number of tokens in each unit at `positions`, in all its sequences together, [units]."""
        lengths: Ints = self._lengths[self._indices(positions)]
        return lengths

    def __getitem__(self, positions: Positions) -> LabelledBatch:
        units = [self.units[index] for index in self._indices(positions)]
        batch = labelled_batch(self.task_type, units, self.pad)
        batch["labels"] = self.task_type.targets(units, self.labels)
        return batch

    def _indices(self, positions: Positions) -> Ints:
        return np.asarray(positions) if self.seed is None else stream_indices(positions, len(self), self.seed)[1]


def labelled_batch(task_type: TaskType, units: Sequence[Unit], pad: int) -> LabelledBatch:
    """Return a batch of `units`, without labels.

    Raises:
        UserError: if the task type adds a key of `LabelledBatch`.
    """
    inputs = collate([tokens for unit in units for tokens in unit.sequences], pad)
    sizes = torch.tensor([len(unit.sequences) for unit in units])
    batch = LabelledBatch(**inputs, group_sizes=sizes, units=Units(units))  # type: ignore[typeddict-item]
    positions = task_type.word_positions(units, inputs["input_ids"].size(1))
    if positions is not None:
        batch["word_positions"] = positions
    extra = task_type.extra_inputs(units)
    if taken := sorted(extra.keys() & (LabelledBatch.__required_keys__ | LabelledBatch.__optional_keys__)):
        raise UserError(f"{type(task_type).__name__}.extra_inputs returns {taken[0]}, a key of every batch: rename it")
    batch.update(extra)  # type: ignore[typeddict-item]
    return batch
