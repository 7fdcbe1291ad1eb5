"""What the recipes that train a tokenizer have in common."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from bert_lightning.errors import UserError

Note = Callable[[str], None]
_LARGEST_VOCABULARY = 2**22  # the library's trainers reserve memory for the vocabulary before they read any text


class TrainedTokenizer:
    """The checks that the recipes for training share, and the text that names a store.

    A setting that was added later is left out of the text while it has its default, so that older stores are found.
    """

    def __repr__(self) -> str:
        shown = [f for f in fields(self) if f.name != "strip_accents" or getattr(self, f.name) != f.default]  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in shown)})"

    def files(self) -> list[Path]:
        """What the tokenizer is made from, beside the corpus."""
        return []


def check_training(vocab_size: object, least: int, sample_megabytes: object) -> None:
    """Raise UserError unless the vocabulary size and the size of the sample are numbers that training can use."""
    if not isinstance(vocab_size, int) or not least <= vocab_size <= _LARGEST_VOCABULARY:
        raise UserError(
            f"tokenizer.vocab_size={str(vocab_size)[:40]} must be a whole number from {least} to "
            f"{_LARGEST_VOCABULARY:,}; published vocabularies have 8,000 to 256,000 words"
        )
    if not isinstance(sample_megabytes, int | float) or not 0 < sample_megabytes < math.inf:
        raise UserError(f"tokenizer.sample_megabytes={sample_megabytes} must be a number above 0")


def ignore(_: str) -> None:
    """Take a note and do nothing."""
