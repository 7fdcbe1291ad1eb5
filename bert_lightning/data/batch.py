"""The contract between data and model: every batch, key by key. B sequences, S tokens each, M masked positions."""

from __future__ import annotations

from typing import Any, TypedDict

from torch import Tensor


class EncoderInputs(TypedDict):
    """What the encoder reads. Written by `assemble` (pretraining) and `collate` (labelled texts)."""

    input_ids: Tensor  # [B, S] int64; [CLS] first, padding last
    token_type_ids: Tensor  # [B, S] int64; 0 for the first segment and padding, 1 for the second
    attention_mask: Tensor  # [B, S] int64 or bool; 0 at padding; 1, 2, 3... number the examples packed into a row
    num_tokens: int  # real tokens in the batch: (attention_mask > 0).sum(), without asking the device for it


class MaskedBatch(EncoderInputs):
    """What every pretraining batch has."""

    masked_positions: Tensor  # [M] int64, into the flattened batch [B * S], ascending
    masked_labels: Tensor  # [M] int64, the ids that stood there
    masked_draws: Tensor  # [M] float32, a random number from 0 to 1 for each, by which an objective samples a word


class PretrainingBatch(MaskedBatch, total=False):
    """Written by `PretrainingExamples`. Which of these labels there are is the example builder's: its `labels`."""

    next_sentence_label: Tensor  # [B] int64; 0: B follows A, 1: B is from another document (google-research/bert)
    sentence_order_label: Tensor  # [B] int64; 0: A and B in their order, 1: swapped (google-research/albert)


class LabelledBatch(EncoderInputs, total=False):
    """Written by `LabelledExamples`. A unit is an example with its sequences; training on questions takes windows."""

    labels: Tensor  # what the objective compares its scores with: [units], [n] words, or [B, 2] spans
    places: Tensor  # [n] int64, into the flattened batch [B * S]: first token of each word; where words are scored
    group_sizes: Tensor  # [units] int64, sequences of each unit, which follow each other in the batch
    units: Any  # `Units`: the examples themselves, for decoding and measuring
