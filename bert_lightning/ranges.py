"""Limits of config values, written beside their types as in `batch_size: Annotated[int, Range(least=1)]`.

`config/validation.py` checks them before anything is built. This module imports no other module of the package, so that
every stage can use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

_LARGE = 2**31 - 1  # upper limits from here on are technical: errors name them only if they matter


@dataclass(frozen=True)
class Range:
    """The limits of a number. `least` and `most` are allowed values; `above` and `below` are not."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def holds(self, value: Any) -> bool:
        """Return whether a number lies within the limits. A value that is not a number passes."""
        return not isinstance(value, (int, float)) or (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.least is not None and self.most is not None and self.most < _LARGE:
            return f"from {self.least} to {self.most}"
        parts = [
            f"above {self.above}" if self.above is not None else "",
            f"{self.least} or more" if self.least is not None else "",
            f"below {self.below}" if self.below is not None else "",
            f"at most {self.most}" if self.most is not None and (self.most < _LARGE or self.least is None) else "",
        ]
        return " and ".join(part for part in parts if part)

    def wanted(self, value: Any) -> str:
        """Return what a number outside the limits must be. A technical upper limit is named only if it is exceeded."""
        too_large = self.most is not None and self.most >= _LARGE and value > self.most
        return f"at most {self.most}" if too_large else str(self)


@dataclass(frozen=True)
class OneOf:
    """The allowed values of a string."""

    words: tuple[str, ...]

    def holds(self, value: Any) -> bool:
        """Return whether a string is one of the allowed values. A value that is not a string passes."""
        return not isinstance(value, str) or value in self.words

    def __str__(self) -> str:
        return " or ".join([", ".join(self.words[:-1]), self.words[-1]]) if len(self.words) > 1 else self.words[0]


@dataclass(frozen=True)
class NotEmpty:
    """The rule that a list or a mapping must have at least one entry."""

    def holds(self, value: Any) -> bool:
        """Return whether the list or mapping has an entry."""
        return bool(value)

    def __str__(self) -> str:
        return "given, with one entry or more"


@dataclass(frozen=True)
class Empty:
    """The rule that a string may be empty. Strings without this rule may not."""

    def holds(self, value: Any) -> bool:
        """Return True, since every string passes."""
        return True


@dataclass(frozen=True)
class Built:
    """The rule that a mapping has a `_target_`, which names the class or function that is called with its entries."""

    each: bool = False  # whether the value is a mapping of names to such mappings, or to null
    partial: bool = True  # whether `_partial_` is allowed, so that further arguments follow at the call


# Whole numbers. Indices of tensors and token stores have 63 bits; counts in a config need no more than 31.
Count = Annotated[int, Range(least=1, most=_LARGE)]
Whole = Annotated[int, Range(least=0, most=_LARGE)]
Seed = Annotated[int, Range(least=0, most=2**32 - 1)]
# Sequence lengths in tokens. No published encoder reads more than 2^17. Beyond 2^20 no machine holds an attention row.
Length = Annotated[int, Range(least=1, most=2**20)]
VocabularySize = Annotated[int, Range(least=1, most=10_000_000)]  # of a tokenizer that is trained
Megabytes = Annotated[int, Range(least=1, most=1_000_000)]

Share = Annotated[float, Range(least=0, most=1)]
Positive = Annotated[float, Range(above=0)]
Beta = Annotated[float, Range(least=0, below=1)]  # decay rates of moving averages, such as Adam's betas
NotNegative = Annotated[float, Range(least=0)]

# Config groups with a `_target_`.
Part = Annotated[dict[str, Any], Built(partial=False)]  # called with the entries of the config alone
Maker = Annotated[dict[str, Any], Built()]  # called with further arguments, which the run gives
Parts = Annotated[dict[str, Any], Built(each=True)]
