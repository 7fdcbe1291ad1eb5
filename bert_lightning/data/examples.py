"""Store, pairs and masks together: position in the training stream -> finished batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from bert_lightning.data.batch import PretrainingBatch
from bert_lightning.data.masking import TokenMasking
from bert_lightning.data.pairs import Ints, Pairs, SegmentPairs
from bert_lightning.data.randomness import Stream, draw
from bert_lightning.data.sampler import stream_indices
from bert_lightning.text.tokenizers import SpecialIds


@dataclass(frozen=True)
class PretrainingExamples(Dataset[PretrainingBatch]):
    """Batches as a pure function of (seed, epoch, index), asked for by a range of positions of the training stream."""

    pairs: SegmentPairs
    masking: TokenMasking
    special: SpecialIds
    vocab_size: int  # words of the tokenizer; the model's table may be larger
    seed: int

    def __len__(self) -> int:
        """Examples in an epoch."""
        return len(self.pairs)

    def __getitem__(self, positions: range) -> PretrainingBatch:
        epochs, indices = stream_indices(positions, len(self), self.seed)
        pairs = self.pairs(indices, draw(self.seed, Stream.PAIR, epochs, indices))
        ids, types, is_text, length = self._assemble(pairs)
        mask_keys = draw(self.seed, Stream.MASK, epochs, indices)
        masked, labels = self.masking(ids, is_text, mask_keys, self.special.mask, self.vocab_size)
        return {
            "input_ids": torch.from_numpy(ids),
            "token_type_ids": torch.from_numpy(types),
            "attention_mask": torch.from_numpy(np.arange(ids.shape[1]) < length[:, None]),
            "num_tokens": int(length.sum()),
            "masked_positions": torch.from_numpy(masked),
            "masked_labels": torch.from_numpy(labels),
            "next_sentence_label": torch.from_numpy(pairs.is_random.astype(np.int64)),
        }

    def _assemble(self, pairs: Pairs) -> tuple[Ints, Ints, npt.NDArray[np.bool_], Ints]:
        """`[CLS] A [SEP] B [SEP]`, padded to the longest: ids, segments, which are text, all [B, S]; lengths [B]."""
        first_end = 1 + pairs.first_length  # where the first [SEP] stands
        last = first_end + 1 + pairs.second_length  # and the second
        column = np.arange(last.max() + 1)
        in_first = (column >= 1) & (column < first_end[:, None])
        in_second = (column > first_end[:, None]) & (column < last[:, None])
        source = np.where(in_first, (pairs.first - 1)[:, None], (pairs.second - first_end - 1)[:, None]) + column

        ids = np.full(in_first.shape, self.special.pad, dtype=np.int64)
        is_text = in_first | in_second
        ids[is_text] = self.pairs.store.tokens[source[is_text]]
        ids[:, 0] = self.special.cls
        rows = np.arange(len(ids))
        ids[rows, first_end] = ids[rows, last] = self.special.sep
        types = ((column > first_end[:, None]) & (column <= last[:, None])).astype(np.int64)
        return ids, types, is_text, last + 1
