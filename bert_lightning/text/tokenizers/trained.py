"""The base class of the recipes that train a tokenizer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import Field, fields
from pathlib import Path

from bert_lightning.errors import UserError

Note = Callable[[str], None]
_LARGEST_VOCABULARY = 2**22  # the library's trainers reserve memory for the vocabulary before they read text


class TrainedTokenizer:
    """Base class of the recipes that train a tokenizer: their checks, and the text that identifies a token store.

    If a newer setting has its default, the text does not contain it, so that older stores are found.
    """

    vocab_size: int
    sample_megabytes: int

    def __repr__(self) -> str:
        values = {f.name: getattr(self, f.name) for f in fields(self) if not self._is_later_default(f)}  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in values.items())})"

    def _is_later_default(self, setting: Field[object]) -> bool:
        return setting.name == "strip_accents" and getattr(self, setting.name) == setting.default

    def files(self) -> list[Path]:
        """Return the files that are read in addition to the corpus: none."""
        return []

    def check(self, least_vocab_size: int) -> None:
        """Check the values of all settings.

        Raises:
            UserError: if a value cannot be used; the message names the setting.
        """
        size, sample = self.vocab_size, self.sample_megabytes
        if not isinstance(size, int) or not least_vocab_size <= size <= _LARGEST_VOCABULARY:
            raise UserError(
                f"tokenizer.vocab_size={str(size)[:40]} must be a whole number from {least_vocab_size} to "
                f"{_LARGEST_VOCABULARY:,}; published ones are 8,000 to 256,000"
            )
        if not isinstance(sample, int | float) or not 0 < sample < math.inf:
            raise UserError(f"tokenizer.sample_megabytes={sample} must be a number above 0")
        for setting in fields(self):  # type: ignore[arg-type]
            value = getattr(self, setting.name)
            if isinstance(setting.default, bool) and not isinstance(value, bool):
                raise UserError(f"tokenizer.{setting.name}={value} must be true or false")


def ignore(_: str) -> None:
    """Discard a note."""
