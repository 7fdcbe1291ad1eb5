"""Pretraining examples: masked batches for positions of the training stream."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from bert_lightning.data.arrays import Bits, Floats, Ints
from bert_lightning.data.batch import PretrainingBatch
from bert_lightning.data.batching.batch_plan import END_OF_TRAINING, BatchPlan
from bert_lightning.data.batching.sampler import Positions, stream_indices
from bert_lightning.data.batching.stream_examples import StreamExamples
from bert_lightning.data.pretraining.masking import MaskableText, RateSchedule, ReplacementVocabulary
from bert_lightning.data.pretraining.phases import Phases, PhaseSlice
from bert_lightning.data.pretraining.token_spans import TokenSpans, assemble_rows, concatenate_spans
from bert_lightning.data.randomness import RandomStream, random_bits, uniform_floats
from bert_lightning.data.store.token_store import TokenStore
from bert_lightning.text.tokenizers.recipes import SpecialIds


class Masking(Protocol):
    """The interface of maskings. `TokenMasking.__call__` describes it."""

    def __call__(
        self, ids: Ints, text: MaskableText, keys: Bits, progress: Floats, vocabulary: ReplacementVocabulary
    ) -> tuple[Ints, Ints]:
        """Mask `ids` in place. Return the chosen positions and their original ids."""


@dataclass(frozen=True)
class PretrainingExamples(StreamExamples[PretrainingBatch]):
    """Pretraining batches as a pure function of (seed, epoch, index), indexed by positions of the training stream."""

    phases: Phases
    masking: Masking
    special: SpecialIds
    vocabulary: ReplacementVocabulary
    seed: int
    plan: BatchPlan = END_OF_TRAINING  # gives the spent fraction of the budget at each position, for phases and rates

    @property
    def change_points(self) -> tuple[float, ...]:
        """Return the fractions of training at which a phase ends, and every hundredth if the masking rate changes."""
        ends = np.cumsum([phase.share for phase in self.phases])[:-1].tolist()
        changes = isinstance(getattr(self.masking, "rate", None), RateSchedule)
        return tuple(sorted({*ends, *(np.arange(1, 100) / 100 if changes else ())}))

    def with_plan(self, plan: BatchPlan) -> PretrainingExamples:
        return replace(self, plan=plan)

    def phase_starts(self, plan: BatchPlan) -> tuple[int, ...]:
        return self.phases.starts(plan)

    @property
    def store(self) -> TokenStore:
        return self.phases[0].builder.store  # type: ignore[no-any-return]

    def __len__(self) -> int:
        """Return the number of examples in an epoch of the last phase."""
        return len(self.phases[-1].builder)

    @property
    def longest(self) -> int:
        """Return the maximal number of tokens in a row."""
        return self.phases.row_length

    def lengths(self, positions: Positions) -> Ints:
        """Return the number of tokens in each row at `positions`, [B]."""
        return self._spans(positions)[0].row_lengths()

    def __getitem__(self, positions: Positions) -> PretrainingBatch:
        spans, keys = self._spans(positions)
        rows = assemble_rows(spans, self.store, self.special)
        text = MaskableText(rows.text, lambda: self.store.word_starts[rows.source], spans.example_of_tokens)
        masked, labels = self.masking(rows.ids, text, keys, self.plan.fractions_spent(positions), self.vocabulary)
        batch: PretrainingBatch = {
            "input_ids": torch.from_numpy(rows.ids).view(-1, rows.width),
            "token_type_ids": torch.from_numpy(rows.types).view(-1, rows.width),
            "attention_mask": torch.from_numpy(rows.examples).view(-1, rows.width),
            "num_tokens": rows.num_tokens,
            "masked_positions": torch.from_numpy(masked),
            "masked_labels": torch.from_numpy(labels),
            "sampling_uniforms": torch.from_numpy(_sampling_uniforms(keys, masked, rows.width)),
        }
        for key, values in spans.labels.items():
            batch[key] = torch.from_numpy(values)  # type: ignore[literal-required]
        return batch

    def _spans(self, positions: Positions) -> tuple[TokenSpans, Bits]:
        """Return the token spans of the rows at `positions`, and the random keys [B] of their masks."""
        parts, keys = zip(*map(self._spans_of_phase, self.phases.slices(positions, self.plan)), strict=True)
        return concatenate_spans(parts), np.concatenate(keys)

    def _spans_of_phase(self, phase: PhaseSlice) -> tuple[TokenSpans, Bits]:
        seed = random_bits(self.seed, RandomStream.PHASE, phase.number) if phase.number else self.seed
        epochs, indices = stream_indices(phase.positions, len(phase.builder), seed)
        keys = random_bits(seed, np.array([[RandomStream.PAIR], [RandomStream.MASK]]), epochs, indices)  # [2, B]
        return phase.builder(indices, keys[0]), keys[1]


def _sampling_uniforms(keys: Bits, masked: Ints, width: int) -> npt.NDArray[np.float32]:
    """Return a random number in [0, 1] for each masked position of the flattened batch, [M].

    The number depends on the key [B] of the row and on the position in the row.
    """
    rows, columns = np.divmod(masked, width)
    return uniform_floats(random_bits(keys[rows], RandomStream.SAMPLE, columns)).astype(np.float32)
