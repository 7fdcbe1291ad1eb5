"""Limits of config values, written beside their types: `batch_size: Annotated[int, Range(least=1)]`.

`verbs/validation.py` reads them before anything is built. The module imports nothing, so that every stage can use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

_LARGE = 2**31 - 1  # an upper limit from here on is one of the machine, which nobody meets by chance


@dataclass(frozen=True)
class Range:
    """Limits of a number. `above` and `below` exclude the limit itself."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def holds(self, value: Any) -> bool:
        """Return whether a number lies within the limits; what is no number does."""
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
        """Return what a number that the range does not hold must be; a large upper limit is said where it matters."""
        too_large = self.most is not None and self.most >= _LARGE and value > self.most
        return f"at most {self.most}" if too_large else str(self)


@dataclass(frozen=True)
class OneOf:
    """The words that a text may be."""

    words: tuple[str, ...]

    def holds(self, value: Any) -> bool:
        """Return whether a text is one of the words; what is no text is."""
        return not isinstance(value, str) or value in self.words

    def __str__(self) -> str:
        return " or ".join([", ".join(self.words[:-1]), self.words[-1]]) if len(self.words) > 1 else self.words[0]


@dataclass(frozen=True)
class NotEmpty:
    """A list or a mapping has one entry at least."""

    def holds(self, value: Any) -> bool:
        """Return whether there is an entry."""
        return bool(value)

    def __str__(self) -> str:
        return "given, with one entry or more"


@dataclass(frozen=True)
class Empty:
    """A text may be empty. Without this mark it may not."""

    def holds(self, value: Any) -> bool:
        """Return true: every text passes."""
        return True


@dataclass(frozen=True)
class Built:
    """A mapping whose `_target_` names what is built of it; with `each`, a mapping of such mappings or nulls."""

    each: bool = False
    partial: bool = True  # whether it may be `_partial_`, built with further arguments later


# Whole numbers. An index of a tensor or a store has 63 bits; a count of a config needs no more than 31.
Count = Annotated[int, Range(least=1, most=_LARGE)]
Whole = Annotated[int, Range(least=0, most=_LARGE)]
Seed = Annotated[int, Range(least=0, most=2**32 - 1)]
# Tokens of a sequence. No published encoder reads more than 2^17; beyond 2^20 no machine holds a row of attention.
Length = Annotated[int, Range(least=1, most=2**20)]
Words = Annotated[int, Range(least=1, most=10_000_000)]  # of a vocabulary that is trained
Megabytes = Annotated[int, Range(least=1, most=1_000_000)]

Share = Annotated[float, Range(least=0, most=1)]
Positive = Annotated[float, Range(above=0)]
Beta = Annotated[float, Range(least=0, below=1)]  # of a moving average
NotNegative = Annotated[float, Range(least=0)]

# Groups of the config.
Part = Annotated[dict[str, Any], Built(partial=False)]  # built as it is
Maker = Annotated[dict[str, Any], Built()]  # built with arguments that the run gives
Parts = Annotated[dict[str, Any], Built(each=True)]
