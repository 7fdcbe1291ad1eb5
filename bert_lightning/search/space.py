"""The search space: which keys a search varies, over which values, and when."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from bert_lightning.errors import UserError

Value = str | int | float
_MOST_POINTS = 100_000  # a grid with more points is a mistake
_DIGITS = 4  # significant digits of a value, so that folders and commands can be read


@dataclass(frozen=True)
class Condition:
    """A condition on another key of the space: the key must have one of these values."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """One key of the space. `text` is the entry as the user wrote it, such as `tag(log,interval(1e-5,1e-3))`.

    The values of a categorical distribution are texts in Hydra's grammar, so they may be lists or options of a group.
    """

    key: str
    text: str
    distribution: BaseDistribution
    conditions: tuple[Condition, ...] = ()  # all hold in the trials that have this key

    def holds(self, chosen: Mapping[str, Value]) -> bool:
        """Return whether a trial with these values of the entries before it has this key."""
        return all(str(chosen.get(condition.key)) in condition.values for condition in self.conditions)

    def suggest(self, trial: Trial) -> Value:
        """Return the value that the sampler chooses in a trial; the value that the trial has, if it has one."""
        found = self.distribution
        if isinstance(found, FloatDistribution):
            value = trial.suggest_float(self.key, found.low, found.high, step=found.step, log=found.log)
            return min(max(float(f"{value:.{_DIGITS}g}"), found.low), found.high)
        if isinstance(found, IntDistribution):
            return trial.suggest_int(self.key, found.low, found.high, step=found.step, log=found.log)
        assert isinstance(found, CategoricalDistribution), "the other kind of distribution"
        return str(trial.suggest_categorical(self.key, found.choices))

    def values(self) -> list[Value]:
        """Return all values in order.

        Raises:
            UserError: if the values are not listed but an interval.
        """
        found = self.distribution
        if isinstance(found, CategoricalDistribution):
            return [str(choice) for choice in found.choices]
        if isinstance(found, IntDistribution) and "interval" not in self.text:
            return list(range(found.low, found.high + 1, found.step))
        if isinstance(found, FloatDistribution) and found.step is not None:
            return [found.low + i * found.step for i in range(round((found.high - found.low) / found.step) + 1)]
        raise UserError(
            f"{self.key}={self.text}: hydra.sweeper.sampler=grid tries each value, and an interval has too many: "
            "give choice(...) or range(...), or another sampler"
        )

    def at(self, fraction: float) -> Value:
        """Return the value at a fraction of the range, in [0, 1). A range with the tag log is logarithmic."""
        found = self.distribution
        if isinstance(found, FloatDistribution) and found.step is None:
            low, high = (math.log(found.low), math.log(found.high)) if found.log else (found.low, found.high)
            value = low + fraction * (high - low)
            return min(max(math.exp(value) if found.log else value, found.low), found.high)
        if isinstance(found, IntDistribution) and found.log:
            low, high = math.log(found.low - 0.5), math.log(found.high + 0.5)
            return min(max(round(math.exp(low + fraction * (high - low))), found.low), found.high)
        if isinstance(found, IntDistribution):
            steps = (found.high - found.low) // found.step + 1
            return found.low + found.step * int(fraction * steps)
        values = self.values()
        return values[int(fraction * len(values))]


@dataclass(frozen=True)
class Space:
    """The entries of a search, in order. A condition names an entry before its own."""

    entries: tuple[Entry, ...]

    @classmethod
    def parsed(cls, overrides: Sequence[Override], conditions: Mapping[str, Any]) -> Space:
        """Return the space of overrides with several values.

        Args:
            overrides: the overrides, parsed by Hydra.
            conditions: a key -> the values of other keys with which it is varied, such as `{"optimizer": "muon"}`.

        Raises:
            UserError: if a range is empty or unknown, or a condition names no key before its own.
        """
        texts = {str(o.get_key_element()): str(o.input_line).partition("=")[2] for o in overrides}
        if unknown := [key for key in conditions if key not in texts]:
            raise UserError(f"hydra.sweeper.conditions: {unknown[0]} is not varied: the space has {', '.join(texts)}")
        found = [
            Entry(key, texts[key], _distribution(override), _conditions(key, conditions.get(key, {}), list(texts)))
            for key, override in ((str(o.get_key_element()), o) for o in overrides)
        ]
        entries: list[Entry] = []
        while waiting := [entry for entry in found if entry not in entries]:
            done = {entry.key for entry in entries}
            ready = [entry for entry in waiting if {c.key for c in entry.conditions} <= done]
            if not ready:
                raise UserError(
                    f"hydra.sweeper.conditions: {waiting[0].key} depends on itself: leave one condition out"
                )
            entries.append(ready[0])
        return cls(tuple(entries))

    def suggest(self, trial: Trial) -> dict[str, Value]:
        """Return the values of a trial by key. A key whose condition does not hold is missing."""
        chosen: dict[str, Value] = {}
        for entry in self.entries:
            if entry.holds(chosen):
                chosen[entry.key] = entry.suggest(trial)
        return chosen

    def grid(self) -> list[dict[str, Value]]:
        """Return all points of the grid. The last key varies fastest.

        Raises:
            UserError: if an entry is an interval, or there are too many points.
        """
        most = math.prod(len(entry.values()) for entry in self.entries)
        if most > _MOST_POINTS:
            raise UserError(f"the grid has {most:,} points: use another sampler, or fewer values")
        points = map(dict, self._grid({}, self.entries))
        return list(points)

    def point(self, fractions: Sequence[float]) -> dict[str, Value]:
        """Return the values at a fraction of the range of each entry."""
        chosen: dict[str, Value] = {}
        for entry, fraction in zip(self.entries, fractions, strict=True):
            if entry.holds(chosen):
                chosen[entry.key] = entry.at(fraction)
        return chosen

    def described(self) -> dict[str, str]:
        """Return the entries as the user wrote them, by key."""
        return {entry.key: entry.text for entry in self.entries}

    def _grid(self, chosen: dict[str, Value], rest: Sequence[Entry]) -> Iterator[dict[str, Value]]:
        if not rest:
            yield chosen
        elif not rest[0].holds(chosen):
            yield from self._grid(chosen, rest[1:])
        else:
            tails = (self._grid({**chosen, rest[0].key: value}, rest[1:]) for value in rest[0].values())
            yield from itertools.chain.from_iterable(tails)


def override_text(key: str, value: Value) -> str:
    """Return the override that gives a key its value."""
    return f"{key}={value if isinstance(value, str) else repr(value)}"


def _distribution(override: Override) -> BaseDistribution:
    """Return the distribution of an override with several values."""
    shown, sweep = override.input_line, override.value()
    tags: set[str] = set(getattr(sweep, "tags", ()))
    if tags - {"log"}:
        raise UserError(f"{shown}: the only tag of a search is log")
    log = bool(tags)
    if override.is_interval_sweep():
        return _interval(str(shown), sweep.start, sweep.end, log)  # type: ignore[union-attr]
    if isinstance(sweep, RangeSweep):
        return _range(str(shown), sweep, log)
    if not override.is_choice_sweep() or log:
        raise UserError(f"{shown}: a search takes choice(...), range(...), interval(...), and tag(log, ...) of a range")
    choices = list(dict.fromkeys(override.sweep_string_iterator()))
    return CategoricalDistribution(choices)


def _interval(shown: str, low: Any, high: Any, log: bool) -> BaseDistribution:
    if not low < high:
        raise UserError(f"{shown}: the interval must begin below its end")
    if log and low <= 0:
        raise UserError(f"{shown}: an interval with the tag log must begin above 0")
    kind = IntDistribution if isinstance(low, int) and isinstance(high, int) else FloatDistribution
    return kind(low, high, log=log)


def _range(shown: str, sweep: RangeSweep, log: bool) -> BaseDistribution:
    start, stop, step = sweep.start, sweep.stop, sweep.step
    if start is None or stop is None or step <= 0 or not start < stop:
        raise UserError(f"{shown}: a range of a search must begin below its end, with a step above 0")
    number = math.ceil((stop - start) / step - 1e-9)
    if all(isinstance(value, int) for value in (start, stop, step)):
        if log and (step != 1 or start < 1):
            raise UserError(f"{shown}: a range with the tag log must begin at 1 or more, with a step of 1")
        return IntDistribution(int(start), int(start + (number - 1) * step), log=log, step=int(step))
    if log:
        raise UserError(f"{shown}: tag(log, ...) takes an interval, or a range of whole numbers")
    return FloatDistribution(float(start), start + (number - 1) * step, step=float(step))


def _conditions(key: str, needed: Any, keys: Sequence[str]) -> tuple[Condition, ...]:
    """Return the conditions of a key, from a mapping of other keys to a value or a list of values."""
    if not isinstance(needed, Mapping) or any(other not in keys or other == key for other in needed):
        raise UserError(
            f"hydra.sweeper.conditions.{key}={needed} must map other keys of the space to values, "
            "as in {optimizer: muon}"
        )
    listed = {other: value if isinstance(value, list) else [value] for other, value in needed.items()}
    return tuple(Condition(str(other), tuple(map(str, values))) for other, values in listed.items())
