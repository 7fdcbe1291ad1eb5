"""Store, pieces and masks together: position in the training stream -> finished batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from bert_lightning.data.batch import PretrainingBatch
from bert_lightning.data.legs import END, Leg
from bert_lightning.data.masking import RateSchedule, Text, TokenMasking, Vocabulary
from bert_lightning.data.phases import Phases, Stretch
from bert_lightning.data.pieces import Ints, Pieces, assemble, join
from bert_lightning.data.randomness import Bits, Stream, draw, uniform
from bert_lightning.data.sampler import Positions, stream_indices
from bert_lightning.data.store import TokenStore
from bert_lightning.text.tokenizers import SpecialIds


@dataclass(frozen=True)
class PretrainingExamples(Dataset[PretrainingBatch]):
    """Batches as a pure function of (seed, epoch, index), asked for by positions of the training stream."""

    phases: Phases
    masking: TokenMasking
    special: SpecialIds
    vocabulary: Vocabulary
    seed: int
    leg: Leg = END  # says how much of training has passed at each position, for phases and rates

    @property
    def moments(self) -> tuple[float, ...]:
        """Shares of training at which it matters how much has passed: ends of phases, hundredths for a moving rate."""
        ends = np.cumsum([phase.share for phase in self.phases])[:-1].tolist()
        falling = isinstance(self.masking.rate, RateSchedule)
        return tuple(sorted({*ends, *(np.arange(1, 100) / 100 if falling else ())}))

    @property
    def store(self) -> TokenStore:
        return self.phases[0].builder.store  # type: ignore[no-any-return]

    def __len__(self) -> int:
        """Examples of an epoch of the last phase."""
        return len(self.phases[-1].builder)

    @property
    def longest(self) -> int:
        """Tokens that no row exceeds."""
        return self.phases.row_length

    def lengths(self, positions: Positions) -> Ints:
        """Tokens of the rows at `positions`, [B]."""
        made = [self._stretch(stretch)[0].row_lengths() for stretch in self.phases.stretches(positions, self.leg)]
        return np.concatenate(made)

    def __getitem__(self, positions: Positions) -> PretrainingBatch:
        made = [self._stretch(stretch) for stretch in self.phases.stretches(positions, self.leg)]
        pieces, keys = join([pieces for pieces, _ in made]), np.concatenate([keys for _, keys in made])
        rows = assemble(pieces, self.store, self.special)
        text = Text(rows.text, lambda: self.store.word_starts[rows.source], pieces.example_of_tokens)
        masked, labels = self.masking(rows.ids, text, keys, self.leg.shares(positions), self.vocabulary)
        batch: PretrainingBatch = {
            "input_ids": torch.from_numpy(rows.ids).view(-1, rows.width),
            "token_type_ids": torch.from_numpy(rows.types).view(-1, rows.width),
            "attention_mask": torch.from_numpy(rows.examples).view(-1, rows.width),
            "num_tokens": rows.num_tokens,
            "masked_positions": torch.from_numpy(masked),
            "masked_labels": torch.from_numpy(labels),
            "masked_draws": torch.from_numpy(_draws(keys, masked, rows.width)),
        }
        for key, values in pieces.labels.items():
            batch[key] = torch.from_numpy(values)  # type: ignore[literal-required]
        return batch

    def _stretch(self, stretch: Stretch) -> tuple[Pieces, Bits]:
        """The pieces at the positions of one phase, and the keys of their masks."""
        builder = stretch.builder
        seed = draw(self.seed, Stream.PHASE, stretch.number) if stretch.number else self.seed
        epochs, indices = stream_indices(stretch.positions, len(builder), seed)
        keys = draw(seed, np.array([[Stream.PAIR], [Stream.MASK]]), epochs, indices)  # [2, B]
        return builder(indices, keys[0]), keys[1]


def _draws(keys: Bits, masked: Ints, width: int) -> npt.NDArray[np.float32]:
    """A number for each masked position [M] of the flattened batch, from its row's key [B] and its place in the row."""
    rows, columns = np.divmod(masked, width)
    return uniform(draw(keys[rows], Stream.SAMPLE, columns)).astype(np.float32)
