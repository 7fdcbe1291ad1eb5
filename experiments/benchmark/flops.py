"""Count the FLOPs that a training step needs, independent of the program."""

from __future__ import annotations

from torch import Tensor

WORDS = 30522


def needed(batch: dict[str, Tensor], layers: int, width: int) -> float:
    """Return the FLOPs of a step's matrix products, for real tokens only, and in the last layer for masked ones only.

    The feed-forward part is 4 times as wide as the rest. Backward costs twice as much as forward.
    """
    lengths = batch["attention_mask"].sum(1).double()
    asked = (batch["labels"] != -100).sum(1).double()
    tokens, places = float(lengths.sum()), float(asked.sum())
    below = (layers - 1) * (24 * width**2 * tokens + 4 * width * float((lengths**2).sum()))
    last = 4 * width**2 * tokens + 20 * width**2 * places + 4 * width * float((lengths * asked).sum())
    head = 2 * width * (width + WORDS) * places
    return 3 * (below + last + head)
