"""Labelled examples as batches, asked for by positions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.utils.data import Dataset

from bert_lightning.data.batch import LabelledBatch
from bert_lightning.data.labelled.encoding import collate
from bert_lightning.data.labelled.kinds import Example, Kind, Unit, Units
from bert_lightning.data.sampler import Ints, Positions, stream_indices
from bert_lightning.errors import UserError
from bert_lightning.text.tokenizers import SpecialIds


class LabelledExamples(Dataset[LabelledBatch]):
    """Batches of encoded examples, asked for by positions of the training stream, as in `PretrainingExamples`.

    Args:
        kind: what the examples are.
        examples: the examples, with answers.
        labels: classes in the order of their scores; empty where the kind has none.
        tokenizer: ids and special tokens.
        max_length: tokens of the longest sequence.
        seed: order of the stream; None keeps the examples' order, and counts whole examples instead of what training
            counts.
    """

    def __init__(
        self,
        kind: Kind,
        examples: Sequence[Example],
        labels: Sequence[str],
        tokenizer: Tokenizer,
        max_length: int,
        seed: int | None,
    ) -> None:
        if not examples:
            raise UserError("there are no examples")
        kind.check(examples, labels)
        units = kind.encode(examples, tokenizer, max_length)
        self.num_cut = sum(unit.is_cut for unit in units)
        self.units = units if seed is None else kind.training_units(units)
        self.kind, self.labels, self.seed = kind, list(labels), seed
        self.pad = SpecialIds.of(tokenizer).pad
        self._lengths = np.array([sum(len(tokens.ids) for tokens in unit.sequences) for unit in self.units])

    def __len__(self) -> int:
        return len(self.units)

    @property
    def longest(self) -> int:
        """Tokens that no unit exceeds."""
        return int(self._lengths.max())

    def lengths(self, positions: Positions) -> Ints:
        """Tokens of the units at `positions`, all their sequences together, [units]."""
        lengths: Ints = self._lengths[self._indices(positions)]
        return lengths

    def __getitem__(self, positions: Positions) -> LabelledBatch:
        units = [self.units[index] for index in self._indices(positions)]
        batch = labelled_batch(self.kind, units, self.pad)
        batch["labels"] = self.kind.targets(units, self.labels)
        return batch

    def _indices(self, positions: Positions) -> Ints:
        return np.asarray(positions) if self.seed is None else stream_indices(positions, len(self), self.seed)[1]


def labelled_batch(kind: Kind, units: Sequence[Unit], pad: int) -> LabelledBatch:
    """The batch of some units, without answers."""
    inputs = collate([tokens for unit in units for tokens in unit.sequences], pad)
    sizes = torch.tensor([len(unit.sequences) for unit in units])
    batch = LabelledBatch(**inputs, group_sizes=sizes, units=Units(units))  # type: ignore[typeddict-item]
    places = kind.places(units, inputs["input_ids"].size(1))
    if places is not None:
        batch["places"] = places
    return batch
