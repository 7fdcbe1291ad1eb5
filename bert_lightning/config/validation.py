"""Check every value of a composed config before anything is built, by the type and the limits of its parameter.

The types come from the schema (`schemas.py`). Beside a `_target_`, they come from the parameters of the target. Both
give limits by `Annotated` (`ranges.py`). So a wrong value is refused here, by its key, and not by torch or Lightning.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Union

from omegaconf import MISSING, DictConfig, OmegaConf

from bert_lightning.config.hints import SCALARS, in_words, is_of_type, parameters_of, shown
from bert_lightning.config.interfaces import check_interface
from bert_lightning.config.schema_parts import Schema
from bert_lightning.config.schemas import SCHEMAS
from bert_lightning.errors import UserError
from bert_lightning.ranges import Built, Empty, Range
from bert_lightning.renames import renamed

_HYDRA = {"_partial_": bool, "_recursive_": bool, "_convert_": str, "_args_": list[Any]}
_LARGEST = 2**63 - 1  # largest integer that torch and NumPy can hold
_REFERENCE = re.compile(r"\$\{(\.*)([\w.]+)\}")  # n dots: relative to the n-th mapping around the key


def check_config(config: DictConfig, overrides: Iterable[str] = (), complete: bool = True) -> None:
    """Check a composed config, or the config in a run's folder.

    Args:
        config: config with the verb's schema, or with a key `verb` that names the verb.
        overrides: overrides of the command line, to find the keys that it deletes (`~key`).
        complete: whether every key must have a value.

    Raises:
        UserError: if a value has a wrong type or is outside its limits. The message names its key.
    """
    schema: Any = OmegaConf.get_type(config)
    composed = isinstance(schema, type) and issubclass(schema, Schema)
    if not composed:
        verb = config.get("verb")
        if not isinstance(verb, str) or verb not in SCHEMAS:
            raise UserError(f"verb={shown(verb)} of this config must be pretrain or finetune")
        schema = SCHEMAS[verb]
    if complete and (missing := sorted(OmegaConf.missing_keys(config))):
        raise UserError(f"{missing[0]} has no value: give {missing[0]}=...")
    values: Any = OmegaConf.to_container(config, resolve=True)
    written: Any = OmegaConf.to_container(config, resolve=False)
    check = _Check(dict(_references(written)), composed)
    check.schema("", values, schema)
    for key in (override[1:].partition("=")[0] for override in overrides if re.match(r"~[\w.]+(=|$)", override)):
        check.deleted(key, values)


def check_part(config: DictConfig, name: str) -> None:
    """Check one part of the config in a run's folder. Targets of the other parts are not imported.

    Raises:
        UserError: if a value has a wrong type or is outside its limits. The message names its key.
    """
    hints = typing.get_type_hints(SCHEMAS[config.verb], include_extras=True)
    values: Any = OmegaConf.to_container(config)
    _Check({}, composed=False).value(name, values.get(name), hints[name])


class _Misfit(Exception):
    """The error for a value that does not fit a type. `depth` is the depth of the key that the message names."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.depth = path.count(".")


class _Check:
    """A walk through the values of a config, which checks each by its type.

    Args:
        references: key whose value is only a reference to another key -> the other key. Errors name the other key.
        composed: whether Hydra composed the config in this process, so that it has every key of the schema.
    """

    def __init__(self, references: Mapping[str, str], composed: bool) -> None:
        self._references, self._composed = references, composed

    def schema(self, path: str, values: Any, schema: type[Schema]) -> None:
        """Check a mapping by its schema: the keys and their values."""
        if not isinstance(values, dict):
            self._refuse(path, values, "a mapping of keys: choose an option of this group, or change single keys of it")
        hints = typing.get_type_hints(schema, include_extras=True)
        fields = dataclasses.fields(schema)
        known = [field.name for field in fields]
        _check_known(values, path, known, "this config")
        # A run's folder may be older than a key. The key then has the schema's default.
        needed = [field.name for field in fields if self._composed or field.default == MISSING]
        if absent := [name for name in needed if name not in values]:
            key = _join(path, absent[0])
            raise UserError(f"{key} has no value: give {key}=...")
        for name in values:
            self.value(_join(path, name), values[name], hints[name])

    def value(self, path: str, value: Any, hint: Any) -> None:
        """Check a value and everything in it. Raise UserError if a value does not fit its type."""
        try:
            self._value(path, value, hint)
        except _Misfit as misfit:
            raise UserError(str(misfit)) from None

    def deleted(self, path: str, values: Any) -> None:
        """Raise UserError if a deleted key is a parameter of a target, which would silently use its own default."""
        *parents, name = path.split(".")
        node = values
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if isinstance(node, dict) and "_target_" in node and name in parameters_of(node["_target_"], path)[0]:
            raise UserError(f"~{path}: {node['_target_']} would use its own default: give {path}=...")

    def _value(self, path: str, value: Any, hint: Any) -> None:
        if value == MISSING:
            return
        if typing.get_origin(hint) is Annotated:
            self._annotated(path, value, hint)
        elif typing.get_origin(hint) in (Union, types.UnionType):
            self._union(path, value, typing.get_args(hint))
        elif isinstance(value, dict) and "_target_" in value:
            self._node(path, value)
        elif isinstance(hint, type) and issubclass(hint, Schema):
            self.schema(path, value, hint)
        elif hint in (Any, object, inspect.Parameter.empty, dict, list, Mapping, Sequence) or isinstance(
            hint, typing.TypeVar | str
        ):
            self._anything(path, value)
        else:
            self._typed(path, value, hint)

    def _typed(self, path: str, value: Any, hint: Any) -> None:
        origin, inner = typing.get_origin(hint), typing.get_args(hint)
        if origin is Literal:
            if not any(value == word and type(value) is type(word) for word in inner):
                self._refuse(path, value, in_words(hint))
        elif hint in SCALARS or hint is None:
            self._scalar(path, value, types.NoneType if hint is None else hint)
        elif origin is tuple and Ellipsis not in inner:
            if not isinstance(value, list) or len(value) != len(inner):
                self._refuse(path, value, in_words(hint))
            for number, (each, kind) in enumerate(zip(value, inner, strict=True)):
                self._value(f"{path}[{number}]", each, kind)
        elif isinstance(origin, type) and issubclass(origin, Mapping):
            if not isinstance(value, dict):
                self._refuse(path, value, in_words(hint))
            for name, each in value.items():
                self._value(_join(path, name), each, inner[1])
        elif isinstance(origin, type) and issubclass(origin, Iterable):
            if not isinstance(value, list):
                self._refuse(path, value, in_words(hint))
            for number, each in enumerate(value):
                self._value(f"{path}[{number}]", each, inner[0])
        else:  # a class or a callable
            self._refuse_unbuilt(path, value)

    def _scalar(self, path: str, value: Any, kind: Any) -> None:
        if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            if not math.isfinite(value):
                self._refuse(path, value, "a finite number")
        elif kind is Path:
            self._scalar(path, value, str)
        elif type(value) is not kind:
            hint = f": write {int(value)}" if kind is int and isinstance(value, float) and value.is_integer() else ""
            quote = f": quote it twice, '{path}=\"{value}\"'" if kind is str and type(value) in (int, float) else ""
            self._refuse(path, value, in_words(kind) + hint + quote)
        elif kind is int and abs(value) > _LARGEST:
            self._refuse(path, value, f"at most {_LARGEST:,}")
        elif kind is str and not value:
            self._refuse(path, "''", "text that is not empty")

    def _annotated(self, path: str, value: Any, hint: Any) -> None:
        kind, *marks = typing.get_args(hint)
        if Empty() in marks and value == "":
            return
        for built in (mark for mark in marks if isinstance(mark, Built)):
            self._built(path, value, built)
            return
        self._value(path, value, kind)
        for mark in marks:
            if not mark.holds(value):
                self._refuse(path, value, mark.wanted(value) if isinstance(mark, Range) else str(mark))

    def _built(self, path: str, value: Any, built: Built) -> None:
        if not built.each:
            if not isinstance(value, dict) or "_target_" not in value:
                self._refuse_unbuilt(path, value)
            self._node(path, value)
            if value.get("_partial_") and not built.partial:
                raise UserError(f"{path}._partial_=true: this part takes no further arguments; leave _partial_ out")
            return
        if not isinstance(value, dict):
            self._refuse(path, value, "a mapping of names to mappings with a _target_")
        for name, each in value.items():
            if each is None and (sentence := renamed(_join(path, name))):  # null under an old name removes nothing
                raise UserError(sentence)
            if each is not None:
                self._built(_join(path, name), each, Built())

    def _node(self, path: str, node: dict[str, Any]) -> None:
        """Check the keys beside a `_target_` by the parameters of the target."""
        parameters, takes_all = parameters_of(node["_target_"], path)
        check_interface(node["_target_"], path)
        if not takes_all:
            _check_known(node, path, list(parameters), node["_target_"])
        for name, value in node.items():
            if name != "_target_":
                self.value(_join(path, name), value, _HYDRA.get(name, parameters.get(name, Any)))

    def _union(self, path: str, value: Any, kinds: Sequence[Any]) -> None:
        misfits = []
        for kind in kinds:
            try:
                self._value(path, value, kind)
                return
            except _Misfit as misfit:
                misfits.append(misfit)
        deepest = max(misfits, key=lambda misfit: misfit.depth)
        alike = [misfit for kind, misfit in zip(kinds, misfits, strict=True) if is_of_type(value, kind)]
        if deepest.depth > path.count("."):
            raise deepest
        if alike:  # of the right type, but outside its limits
            raise _Misfit(path, f"{alike[0]}{', or null' if types.NoneType in kinds else ''}")
        self._refuse(path, value, " or ".join(dict.fromkeys(map(in_words, kinds))))

    def _anything(self, path: str, value: Any) -> None:
        """Check a value of unknown type: its numbers must be finite, and nodes with a `_target_` are checked too."""
        if isinstance(value, dict):
            for name, each in value.items():
                self._value(_join(path, name), each, Any)
        elif isinstance(value, list):
            for number, each in enumerate(value):
                self._value(f"{path}[{number}]", each, Any)
        elif isinstance(value, float):
            self._scalar(path, value, float)

    def _refuse_unbuilt(self, path: str, value: Any) -> NoReturn:
        if isinstance(value, dict):
            raise _Misfit(path, f"{path}._target_ has no value: give {path}._target_=..., the class that is built")
        self._refuse(path, value, "an option of this group, or a mapping with a _target_ that names what is built")

    def _refuse(self, path: str, value: Any, wanted: str) -> NoReturn:
        raise _Misfit(path, f"{self._references.get(path, path)}={shown(value)} must be {wanted}")


def _references(written: Any, path: str = "") -> Iterable[tuple[str, str]]:
    """Yield each key whose value is only a reference to another key, together with the other key."""
    if isinstance(written, dict):
        for name, value in written.items():
            yield from _references(value, _join(path, name))
    elif isinstance(written, str) and (found := _REFERENCE.fullmatch(written)):
        yield path, _join(path.rsplit(".", len(found[1]))[0], found[2]) if found[1] else found[2]


def _check_known(node: Mapping[str, Any], path: str, known: list[str], owner: str) -> None:
    for key in map(str, node):
        if key not in known and key not in _HYDRA and key != "_target_":
            if sentence := renamed(_join(path, key)):
                raise UserError(sentence)
            raise UserError(f"{_join(path, key)} is not a key of {owner}{_nearest(key, known)}")


def _nearest(key: str, known: list[str]) -> str:
    matches = difflib.get_close_matches(key, known, n=1)
    return f": did you mean {matches[0]}?" if matches else f"; it has {', '.join(known) or 'no keys'}"


def _join(path: str, name: object) -> str:
    return f"{path}.{name}".lstrip(".")
