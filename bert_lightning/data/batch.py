"""The contract between data and model: the keys, shapes and types of every batch.

Letters of shapes: B sequences, S tokens of a sequence, M masked positions.
"""

from __future__ import annotations

from typing import Any, TypedDict

from torch import Tensor


class EncoderInputs(TypedDict):
    """The inputs of the encoder. `assemble` (pretraining) and `collate` (labelled texts) make them."""

    input_ids: Tensor  # [B, S] int64; [CLS] first, padding last
    token_type_ids: Tensor  # [B, S] int64; 0 for the first segment and padding, 1 for the second
    attention_mask: Tensor  # [B, S] int64 or bool; 0 at padding; 1, 2, 3... number the examples of a packed sequence
    num_tokens: int  # tokens without padding: (attention_mask > 0).sum(), but known without a device synchronization


class MaskedBatch(EncoderInputs):
    """The keys that every pretraining batch has."""

    masked_positions: Tensor  # [M] int64; indices into the flattened batch [B * S], ascending
    masked_labels: Tensor  # [M] int64; original ids at the masked positions
    sampling_uniforms: (
        Tensor  # [M] float32; random numbers from 0 to 1, with which an objective samples replacement tokens
    )


class PretrainingBatch(MaskedBatch, total=False):
    """A batch from `PretrainingExamples`. The `labels` of the example builder name the labels that it has."""

    next_sentence_label: Tensor  # [B] int64; 0: B follows A, 1: B is from another document (google-research/bert)
    sentence_order_label: Tensor  # [B] int64; 0: A and B in the order of the text, 1: swapped (google-research/albert)


class LabelledBatch(EncoderInputs, total=False):
    """A batch from `LabelledExamples`.

    A unit is one example with all its sequences. In training for question answering, it is one window of a context.
    """

    labels: Tensor  # targets of the objective: [units], [n] for words, or [B, 2] for spans
    places: Tensor  # [n] int64; index of each word's first token in the flattened batch [B * S]; for tasks on words
    group_sizes: Tensor  # [units] int64; number of sequences of each unit, which are adjacent in the batch
    units: Any  # `Units`: the examples themselves, for decoding and metrics
