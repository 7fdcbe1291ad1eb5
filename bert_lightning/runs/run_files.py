"""Read the text files in a run's folder, and check them strictly. Every problem gives an error of one line."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bert_lightning.errors import UserError

_MOST_BYTES = 4 * 2**20  # limit of a file's size; a config of this program has about 5,000 bytes, a summary fewer
_DEEPEST = 32  # limit of nested levels; a config of this program has 6


def read_text(path: Path) -> str:
    """Return the text of a small file.

    Raises:
        UserError: if the file is missing, unreadable, too large or not UTF-8.
    """
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is not a file: restore the file from a copy of the run")
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UserError(unreadable_message(path, error)) from None
    if len(data) > _MOST_BYTES:
        raise UserError(
            f"{path} has more than {_MOST_BYTES:,} bytes, so it is not a file of a run: restore it from a copy"
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _damaged(path, f"byte {error.start} is not UTF-8") from None


def unreadable_message(path: Path, error: OSError) -> str:
    """Return a message that says why the system does not open a file, and what to do."""
    if isinstance(error, PermissionError):
        return f"{path} cannot be read ({error.strerror}): check the permissions of the file and its folders"
    return f"{path} cannot be read ({error.strerror})"


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        UserError: if the file cannot be read, or does not hold a JSON object.
    """
    try:
        value = json.loads(read_text(path), parse_int=_whole_number)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, _reason(error)) from None
    if not isinstance(value, dict):
        raise _damaged(path, f"it holds a {type(value).__name__}, not an object")
    return value


def _whole_number(text: str) -> int:
    """Return a whole number of JSON. One that no float can hold is damage: arithmetic with it would fail later."""
    if len(text) > 300:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)


def read_yaml(path: Path) -> DictConfig:
    """Return the mapping that a YAML file holds.

    Raises:
        UserError: if the file cannot be read, holds no mapping, or contains an alias.
    """
    text = read_text(path)
    try:
        _check_events(path, text)
        config = OmegaConf.load(io.StringIO(text))
        plain = OmegaConf.to_container(config)
    except (yaml.YAMLError, OmegaConfBaseException, OSError, ValueError, TypeError, RecursionError) as error:
        raise _damaged(path, _reason(error)) from None  # OmegaConf raises OSError if the text is one number or word
    if not isinstance(config, DictConfig) or not plain:
        raise _damaged(path, "it is empty" if not plain else "it does not map keys to values")
    return config


def read_plain_yaml(path: Path) -> dict[Any, Any]:
    """Return the mapping that a YAML file holds, as plain data. It is ten times as fast as `read_yaml`.

    Raises:
        UserError: if the file cannot be read, holds no mapping, or contains an alias.
    """
    text = read_text(path)
    try:
        _check_events(path, text, _PlainLoader)
        value = yaml.load(text, Loader=_PlainLoader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise _damaged(path, _reason(error)) from None
    if not isinstance(value, dict) or not value:
        raise _damaged(path, "it does not map keys to values" if value else "it is empty")
    return value


class _PlainLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader that reads a date as text, as OmegaConf does."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own attribute
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _check_events(path: Path, text: str, loader: Any = yaml.SafeLoader) -> None:
    """Raise UserError if a YAML text has aliases or deep nesting: ten lines of aliases can expand to gigabytes."""
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.AliasEvent):
            raise _damaged(path, f"line {event.start_mark.line + 1} has the alias *{event.anchor}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise _damaged(path, f"it is nested more than {_DEEPEST} levels deep")


def _reason(error: BaseException) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())[:160]


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is damaged ({reason}): restore the file from a copy of the run")
