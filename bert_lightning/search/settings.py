"""The settings of a search: the keys `hydra.sweeper.*`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bert_lightning.errors import UserError

SAMPLERS = ("tpe", "random", "grid", "qmc")
PRUNERS = ("none", "median", "asha", "hyperband")
_WHOLE = {"trials": 1, "seed": 0, "batch": 1, "startup_trials": 1, "first_validation": 1, "reduction_factor": 2}


@dataclass(frozen=True)
class SearchSettings:
    """The settings of a search. `conf/hydra/sweeper/search.yaml` has their defaults and says what they mean.

    Raises:
        UserError: if a value is wrong.
    """

    sampler: str = "tpe"
    seed: int = 0
    trials: int | None = None
    hours: float | None = None
    batch: int = 1
    pruner: str = "none"
    startup_trials: int = 10
    first_validation: int = 1
    reduction_factor: int = 3
    params: Mapping[str, str] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, known in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
            if getattr(self, name) not in known:
                raise _wrong(name, getattr(self, name), f"must be {', '.join(known[:-1])} or {known[-1]}")
        for name, least in _WHOLE.items():
            value = getattr(self, name)
            if value is None and name == "trials":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**31:
                raise _wrong(name, value, f"must be a whole number, {least} or more")
        if self.hours is not None and not (_is_number(self.hours) and self.hours > 0):
            raise _wrong("hours", self.hours, "must be a number above 0")
        if self.trials is None and self.hours is None and self.sampler != "grid":
            raise UserError("a search needs a budget: give hydra.sweeper.trials=20 or hydra.sweeper.hours=2")
        for name in ("params", "conditions"):
            if not isinstance(getattr(self, name), Mapping):
                raise _wrong(name, getattr(self, name), "must be a mapping of keys")

    def that_choose(self) -> dict[str, Any]:
        """Return the settings that decide which values are tried. They must not change when a search goes on."""
        names = ("sampler", "seed", "pruner", "startup_trials", "first_validation", "reduction_factor")
        return {name: getattr(self, name) for name in names}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def _wrong(name: str, value: Any, why: str) -> UserError:
    return UserError(f"hydra.sweeper.{name}={'null' if value is None else value} {why}")
