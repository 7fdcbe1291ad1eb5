"""Find the type hints of the parameters of a `_target_`, and describe them in words."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import hydra

from bert_lightning.config.limits import LIMITS
from bert_lightning.errors import UserError
from bert_lightning.ranges import OneOf, Range
from bert_lightning.renames import new_target

SCALARS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", types.NoneType: "null",
          Path: "text"}  # fmt: skip


def shown(value: object) -> str:
    """Return a value in the syntax of yaml, cut to 80 characters."""
    words: dict[object, str] = {None: "null", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else " ".join(str(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def parameters_of(target: Any, path: str) -> tuple[dict[str, Any], bool]:
    """Return the types of a target's parameters, and whether it takes other keyword arguments too.

    Raises:
        UserError: if the target is not a dotted name, has another name today, or cannot be imported.
    """
    if not isinstance(target, str) or not target:
        raise UserError(f"{path}._target_={shown(target)} must be the dotted name of a class or a function")
    if (today := new_target(target)) != target:
        raise UserError(f"{path}._target_={target} is now {path}._target_={today}")
    try:
        found = hydra.utils.get_object(target)
        signature = inspect.signature(found).parameters
    except (Exception, SystemExit) as error:  # an import may raise any error
        raise UserError(
            f"{path}._target_={target} cannot be imported ({_reason(error)}): check its spelling, fix its module, or "
            "install it"
        ) from None
    hints = _annotations(found) | LIMITS.get(target, {})
    kinds = {parameter.kind for parameter in signature.values()}
    plain = {n: p for n, p in signature.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    # A default of None makes a parameter optional, whatever its annotation says.
    types_ = {n: hints[n] | None if p.default is None else hints[n] for n, p in plain.items() if n in hints}
    return dict.fromkeys(plain, Any) | types_, inspect.Parameter.VAR_KEYWORD in kinds


def _reason(error: BaseException) -> str:
    """Return the first cause of an error in one line: its class and its message, cut to 120 characters."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:120]


def _annotations(target: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a target's parameters; none if they cannot be read, as with an undefined name."""
    of_class = isinstance(target, type)
    places: list[Any] = [target] if not of_class else [target.__init__]
    if dataclasses.is_dataclass(target):
        places = [target]  # a base class may be in another module: each field is read in its own
    try:
        return typing.get_type_hints(places[0], include_extras=True)
    except Exception:
        return {}


def in_words(hint: Any) -> str:
    """Return the description of a type in words, for an error message."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        limits = [str(mark) for mark in inner[1:] if isinstance(mark, Range | OneOf)]
        return ", ".join([in_words(inner[0]), *limits])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(in_words(kind) for kind in inner))
    if origin is Literal:
        return str(OneOf(tuple(dict.fromkeys(shown(word) for word in inner))))
    if origin is tuple and Ellipsis not in inner:
        return f"a list of {len(inner)} entries"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping"
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return "a list"
    return SCALARS.get(hint, "a mapping with a _target_")


def is_of_type(value: Any, hint: Any) -> bool:
    """Return whether a value has a type, regardless of its limits. For a `Literal` it is false."""
    kind = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    if typing.get_origin(kind) is Literal:
        return False
    kind = typing.get_origin(kind) or kind
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(kind, type) and (
        type(value) is kind or (isinstance(value, dict | list) and isinstance(value, kind))
    )
