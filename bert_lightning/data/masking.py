"""Which words are hidden, and behind what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bert_lightning.data.randomness import Bits, draw, integers, uniform
from bert_lightning.errors import UserError


@dataclass(frozen=True)
class TokenMasking:
    """Choose tokens independently; of those chosen, hide most, replace some, keep the rest. Devlin et al. 2019, 3.1.

    Args:
        rate: share of the text's tokens that are predicted.
        mask_prob: share of the chosen that become [MASK].
        random_prob: share of the chosen that become a random word of the whole vocabulary; the rest stay.
    """

    rate: float = 0.15
    mask_prob: float = 0.8
    random_prob: float = 0.1

    def __post_init__(self) -> None:
        for name in ("rate", "mask_prob", "random_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"masking.{name}={getattr(self, name)} must be between 0 and 1")
        if self.mask_prob + self.random_prob > 1:
            raise UserError(f"masking: {self.mask_prob=} and {self.random_prob=} add up to more than 1")

    def __call__(
        self, ids: npt.NDArray[np.int64], is_text: npt.NDArray[np.bool_], keys: Bits, mask_id: int, vocab_size: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Mask `ids` [B, S] in place where `is_text` [B, S] allows it; `keys` [B] hold the randomness.

        Returns:
            positions: [M] into the flattened ids, ascending.
            labels: [M], the ids that stood there.
        """
        columns = np.arange(ids.shape[1])
        rows, columns = np.nonzero(is_text & (uniform(draw(keys[:, None], 0, columns)) < self.rate))
        labels = ids[rows, columns]
        fate = uniform(draw(keys[rows], 1, columns))
        words = integers(draw(keys[rows], 2, columns), vocab_size)
        is_random = fate < self.mask_prob + self.random_prob
        ids[rows, columns] = np.where(fate < self.mask_prob, mask_id, np.where(is_random, words, labels))
        return rows * ids.shape[1] + columns, labels
