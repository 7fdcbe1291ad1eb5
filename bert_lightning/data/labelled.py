"""Texts with labels: rows of a file -> ids and classes -> batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Encoding, Tokenizer
from torch.utils.data import Dataset

from bert_lightning.data.batch import EncoderInputs, LabelledBatch
from bert_lightning.data.randomness import Stream, draw, permute
from bert_lightning.data.sampler import stream_indices
from bert_lightning.errors import UserError
from bert_lightning.text.files import column, matching_rows
from bert_lightning.text.sentences import clean, split_position
from bert_lightning.text.tokenizers import SpecialIds


class LabelledText(NamedTuple):
    """One row: its clean text and the value of its label column."""

    text: str
    label: str


@dataclass(frozen=True)
class LabelledRows:
    """Rows of CSV, TSV or JSONL files; `where` keeps the rows with these values only."""

    path: str
    text_column: str = "text"
    label_column: str = "label"
    where: dict[str, str] = field(default_factory=dict)

    def read(self, validation_fraction: float) -> tuple[list[LabelledText], list[LabelledText]]:
        """Training and validation rows, split as `prepare` splits the same texts for pretraining.

        Raises:
            UserError: a side without rows.
        """
        sides: tuple[list[LabelledText], list[LabelledText]] = ([], [])
        for path, row in matching_rows(self.path, self.where):
            text = clean(column(row, self.text_column, path))
            side = split_position([text]) < validation_fraction
            sides[side].append(LabelledText(text, column(row, self.label_column, path)))
        for name, rows in zip(("training", "validation"), sides, strict=True):
            if not rows:
                raise UserError(
                    f"{self.path}: no row is left for {name} (task.validation_fraction={validation_fraction}, "
                    f"task.rows.where={self.where})"
                )
        return sides


def subset(rows: Sequence[LabelledText], size: int | None) -> list[LabelledText]:
    """A random `size` of the rows, the same for every seed of training; all if None.

    Raises:
        UserError: fewer rows than that.
    """
    if size is None:
        return list(rows)
    if not 0 < size <= len(rows):
        raise UserError(f"task.train_examples={size} must be from 1 to the {len(rows)} rows there are")
    chosen = permute(np.arange(size), len(rows), draw(0, Stream.SUBSET))
    return [rows[index] for index in chosen]


class LabelledExamples(Dataset[LabelledBatch]):
    """Batches of encoded texts, asked for by positions of the training stream, as in `PretrainingExamples`.

    Args:
        rows: the texts.
        labels: label values in the order of their classes.
        tokenizer: ids and special tokens.
        max_length: tokens of the longest sequence; what is beyond is cut off.
        seed: order of the stream; None keeps the rows' order.
    """

    def __init__(
        self,
        rows: Sequence[LabelledText],
        labels: Sequence[str],
        tokenizer: Tokenizer,
        max_length: int,
        seed: int | None,
    ) -> None:
        if unknown := {row.label for row in rows} - set(labels):
            raise UserError(f"label {sorted(unknown)[0]!r} is not one of task.labels ({', '.join(map(repr, labels))})")
        self.inputs = encode([row.text for row in rows], tokenizer, max_length)
        self.classes = np.array([labels.index(row.label) for row in rows])
        self.pad, self.seed = SpecialIds.of(tokenizer).pad, seed

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, positions: range) -> LabelledBatch:
        indices = np.arange(positions.start, positions.stop)
        if self.seed is not None:
            _, indices = stream_indices(positions, len(self), self.seed)
        inputs = collate([self.inputs[index] for index in indices], self.pad)
        return {**inputs, "labels": torch.from_numpy(self.classes[indices])}


def encode(texts: list[str], tokenizer: Tokenizer, max_length: int, with_masks: bool = False) -> list[Encoding]:
    """`[CLS] text [SEP]` for each text, cut to `max_length` tokens.

    A special token that an author typed is text, as in pretraining; `with_masks` takes `[MASK]` for a mask.
    """
    tokenizer.enable_truncation(max_length)
    tokenizer.encode_special_tokens = not with_masks
    try:
        return list(tokenizer.encode_batch(texts))
    finally:
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = False


def collate(inputs: Sequence[Encoding], pad: int) -> EncoderInputs:
    """Pad encoded texts to the longest of them."""
    lengths = torch.tensor([len(encoding.ids) for encoding in inputs])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]  # [B, S]
    ids, types = torch.full(mask.shape, pad), torch.zeros(mask.shape, dtype=torch.long)
    ids[mask] = torch.tensor([id_ for encoding in inputs for id_ in encoding.ids])
    types[mask] = torch.tensor([type_ for encoding in inputs for type_ in encoding.type_ids])
    return {"input_ids": ids, "token_type_ids": types, "attention_mask": mask, "num_tokens": int(lengths.sum())}
