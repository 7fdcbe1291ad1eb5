"""The contract between data and model: every key that a batch can have, with its shape and type.

Letters of shapes: B sequences, S tokens of a sequence, M masked positions, V vocabulary size, H hidden size.
"""

from __future__ import annotations

from typing import Any, TypedDict

from torch import Tensor


class EncoderInputs(TypedDict):
    """The inputs of the encoder. Every batch has them."""

    input_ids: Tensor  # [B, S] int64; [CLS] first, padding last
    token_type_ids: Tensor  # [B, S] int64; 0 for the first segment and padding, 1 for the second
    attention_mask: Tensor  # [B, S] int64 or bool; 0 at padding; 1, 2, 3... number the examples of a packed sequence
    num_tokens: int  # number of tokens without padding: (attention_mask > 0).sum(), without a device synchronization


class AccumulatedBatch(TypedDict, total=False):
    """The key that `CountedBatches` adds to a batch if its update has several batches."""

    mean_counts: dict[str, float]  # term of the objective -> mean number of its predictions in the update's batches


class MaskedBatch(EncoderInputs):
    """The keys that every pretraining batch has."""

    masked_positions: Tensor  # [M] int64; indices into the flattened batch [B * S], ascending
    masked_labels: Tensor  # [M] int64; original ids at the masked positions
    sampling_uniforms: Tensor  # [M] float32; random numbers in [0, 1] for an objective that samples tokens


class PretrainingBatch(MaskedBatch, AccumulatedBatch, total=False):
    """A batch of `PretrainingExamples`.

    The example builder determines which labels a batch has. Objectives add the last three keys (`Objective.inputs`).
    """

    next_sentence_label: Tensor  # [B] int64; 0: B follows A, 1: B is from another document (google-research/bert)
    sentence_order_label: Tensor  # [B] int64; 0: A and B in the order of the text, 1: swapped (google-research/albert)

    replaced: Tensor  # [B, S] int64; 1 where the generator's token differs from the original, else 0
    generator_logits: Tensor  # [M, V]; logits of the generator at the masked positions
    teacher_hidden: Tensor  # [B, S, H]; last hidden states of the teacher; H is the teacher's hidden size


class LabelledBatch(EncoderInputs, AccumulatedBatch, total=False):
    """A batch of `LabelledExamples`.

    A unit is one example with all its sequences. In training for question answering, a unit is one window of a context.
    """

    labels: Tensor  # targets of the objective: [units], [n] for words, or [B, 2] for spans
    word_positions: Tensor  # [n] int64; index of each word's first token in the flattened batch; for tasks on words
    group_sizes: Tensor  # [units] int64; number of sequences of each unit; they are adjacent in the batch
    units: Any  # `Units`: the examples themselves, for decoding and metrics
