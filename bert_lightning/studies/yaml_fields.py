"""Read the entries of a yaml file that a user writes, with errors that name the file and the key."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Hashable
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from bert_lightning.errors import UserError

_LABEL = re.compile(r"\w[\w.+-]*")  # names that are folder names, too
_LONGEST = 80  # most characters of a label


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """A safe loader of yaml that refuses a key given twice, where yaml itself would keep the last value."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                line = node.value[number][0].start_mark.line + 1
                raise yaml.YAMLError(f"line {line} has the key {key!r} a second time")
        found: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return found


def parse_yaml(file: Path, text: str) -> Any:
    """Return the plain data that the yaml text of a file holds.

    Raises:
        UserError: if the text is not yaml, or a mapping has a key twice.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{file} cannot be read as yaml: {' '.join(str(error).split())[:200]}") from None


class Fields:
    """The entries of one mapping in a file.

    Args:
        file: the file, for messages.
        key: dotted key of the mapping in the file; empty for the whole file.
        value: the mapping.
        known: the keys that it may have; none: any.

    Raises:
        UserError: if the value is not a mapping or has an unknown key.
    """

    def __init__(self, file: Path, key: str, value: Any, known: Collection[str]) -> None:
        self.file, self._key, self._values = file, key, value
        if not isinstance(value, dict):
            shown = "is empty" if value is None else f"is {_shown(value)}"
            raise self.error("", f"{shown}, not a mapping with the keys {', '.join(known)}")
        for name in value:
            if name not in known:
                where = f"of {key}" if key else "of a study"
                raise self.error(str(name), f"is not a key {where}", near=(str(name), known))

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value as it is in the file."""
        return self._values.get(name, default)

    def error(self, name: str, problem: str, near: tuple[str, Collection[str]] | None = None) -> UserError:
        """Return the error for an entry. `near` is a wrong name and the right ones, of which the nearest is named."""
        hint = ""
        if near is not None:
            known = list(near[1])
            matches = difflib.get_close_matches(near[0], known, n=1)
            hint = f": did you mean {matches[0]}?" if matches else f": there are {', '.join(known) or 'none'}"
        key = ".".join(filter(None, (self._key, name)))
        return UserError(f"{self.file}: {f'{key} ' if key else ''}{problem}{hint}")

    def text(self, name: str) -> str:
        """Return a text that is not empty."""
        value = self._values.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self.error(name, "is missing: give a text" if value is None else f"is {_shown(value)}: give a text")
        return value

    def number(self, name: str) -> int | float:
        """Return a number above 0. Yaml reads 1e12 as a text, since it has no point; it is a number here."""
        value = self._values[name]
        if isinstance(value, str) and re.fullmatch(r"[\d.]+[eE][+-]?\d+", value):
            value = float(value)
        if type(value) not in (int, float) or not (math.isfinite(value) and value > 0):
            raise self.error(name, f"is {_shown(value)}: give a number above 0")
        number: int | float = value
        return number

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts; empty if there is no such entry."""
        values = self._values.get(name, [])
        if not isinstance(values, list):
            raise self.error(name, f"is {_shown(values)}: give a list, such as [{_example(values)}]")
        for value in values:
            if not isinstance(value, str):
                raise self.error(name, f"has {_shown(value)}, which is no text: write {_example(value)}")
        return tuple(values)

    def seeds(self, name: str) -> tuple[int, ...]:
        """Return a list of seeds; empty if there is no such entry."""
        values = self._values.get(name, [])
        if not isinstance(values, list) or (name in self._values and not values):
            raise self.error(name, f"is {_shown(values)}: give a list of seeds, such as [0, 1, 2]")
        for number, value in enumerate(values):
            if type(value) is not int or value < 0:
                raise self.error(name, f"has {_shown(value)}, which is no seed: seeds are whole numbers, 0 or more")
            if value in values[:number]:
                raise self.error(name, f"has the seed {value} twice: give each seed once")
        return tuple(values)

    def named(self, name: str) -> dict[str, Any]:
        """Return a mapping whose keys are labels; empty if there is no such entry. A label must be a folder's name."""
        values = self._values.get(name)
        if values is None:
            return {}
        if not isinstance(values, dict):
            raise self.error(name, f"is {_shown(values)}: give a mapping of names")
        for label in values:
            if not isinstance(label, str):
                raise self.error(name, f"has the name {label!r}, which yaml does not read as a text: quote it")
            if not _LABEL.fullmatch(label) or len(label) > _LONGEST:
                raise self.error(
                    name,
                    f"has the name {label!r}, which names a folder: use letters, digits and . _ + -, "
                    f"{_LONGEST} at most, with a letter or digit first",
                )
        if alike := [label for label in values if sum(label.lower() == other.lower() for other in values) > 1]:
            raise self.error(name, f"has {' and '.join(alike)}, which are one folder on some systems: rename one")
        return values


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _example(value: Any) -> str:
    """Return how a value that was written as yaml may be meant as an override."""
    if isinstance(value, dict) and len(value) == 1:
        return "=".join(str(part) for part in next(iter(value.items())))
    return str(value) if isinstance(value, str) else "key=value"
