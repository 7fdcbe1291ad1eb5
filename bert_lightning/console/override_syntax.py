"""Check overrides against Hydra's grammar, and explain how to write those that Hydra cannot read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Sweep
from hydra.errors import HydraException

from bert_lightning.errors import UserError
from bert_lightning.help import conf_folder
from bert_lightning.quoting import quote_for_hydra, quote_for_shell, shortened

_KEY = re.compile(r"(\+\+?|~)?[A-Za-z_$][\w./@:$-]*", re.ASCII)
_LONGEST_OPTION = 240  # most bytes of an option, which names a yaml file: the name of a file has 255 at most
_TOKEN = re.compile(r"[^\s,\[\]{}()=:'\"]*[^\x00-\x7f][^\s,\[\]{}()=:'\"]*")


def normalize_overrides(overrides: list[str], sweep: bool) -> list[str]:
    """Return the overrides in a form that Hydra can read: words with characters beyond ASCII are quoted.

    Args:
        overrides: the overrides of the command line.
        sweep: whether they are those of a sweep, so that a key may have several values.

    Raises:
        UserError: if Hydra cannot read an override, a key has several values outside a sweep, a mapping is empty, or
            a value is not an option of its group.
    """
    return [_readable(override, sweep) for override in overrides]


def parse_override(override: str) -> Override | None:
    """Return an override as Hydra parses it; None if it is not in Hydra's grammar."""
    try:
        found: Override = OverridesParser.create().parse_override(override)
    except (HydraException, ValueError, RecursionError):  # Python raises ValueError for thousands of digits
        return None
    return found


def _readable(override: str, sweep: bool) -> str:
    key, equals, value = override.partition("=")
    if key == "where" and (not value.startswith("[") or parse_override(override) is None):
        override = f"{key}={_as_list(value)}"
    text, found = override, parse_override(override)
    if found is None:
        text = key + equals + _TOKEN.sub(lambda word: quote_for_hydra(word[0]), value)
        found = parse_override(text)
    if found is None or not _KEY.fullmatch(override.partition("=")[0]):
        raise UserError(explain_unreadable(override))
    if found.is_sweep_override() and not sweep:
        key, _, value = override.partition("=")
        raise UserError(
            f"{shortened(override)} has several values: add -m to run one job for each, "
            f"or write {quote_for_shell(override)} for one text"
            + (f", {key}=[{value}] for a list" if re.fullmatch(r"[\w.,-]+", value) else "")
        )
    if not (found.is_delete() or found.is_add() or found.is_force_add()) and found.value() == {}:
        key = found.key_or_group
        raise UserError(
            f"{key}={{}} changes nothing, because mappings are merged: to delete an entry write ~{key}.entry"
        )
    _check_option(override, found)
    return text


def _as_list(conditions: str) -> str:
    """Return conditions such as `variant=bert and seed>1` or `[variant=bert,seed>1]` as a list that Hydra can read."""
    parts = re.split(r",|\sand\s", re.sub(r"^\[|\]$", "", conditions.strip()))
    quoted = [quote_for_hydra(part.strip().strip("\"'"), '"') for part in parts]
    return f"[{','.join(quoted)}]"


def explain_unreadable(override: str) -> str:
    """Return why Hydra cannot read an override, and how it can be written."""
    key, equals, value = override.partition("=")
    shown = shortened(override)
    if not equals:
        return f"{shown!r} is not key=value" + _as_option(override)
    if not _KEY.fullmatch(key):
        return f"{shown!r} has no valid key before the =: write key=value"
    if "${" in value:
        return f"{shown} has an interpolation that cannot be read: write ${{key}}, with both braces"
    return f"{shown} cannot be read: quote the value, as in {shortened(quote_for_shell(override), 400)}"


def _as_option(word: str) -> str:
    """Return the end of a message that suggests `group=word` for each config group with an option `word`."""
    groups = sorted(path.parent.name for path in conf_folder().glob("*/*.yaml") if path.stem == word)
    return f": did you mean {' or '.join(f'{group}={word}' for group in groups)}?" if groups else ""


def _check_option(override: str, found: Override) -> None:
    """Check the value of an override of a config group: an option, a list of options, or a mapping of changed keys.

    Raises:
        UserError: if the value is anything else.
    """
    group = str(found.key_or_group)
    if found.is_delete() or not re.fullmatch(r"\w+", group) or not (folder := conf_folder() / group).is_dir():
        return
    value: Any = found.value()
    known = ", ".join(option_names(folder))
    for option in value.list if isinstance(value, Sweep) and hasattr(value, "list") else [value]:
        if len(str(option).encode()) > _LONGEST_OPTION:
            raise UserError(f"{shortened(override)}: {group} has no such option: there are {known}")
        names = option if isinstance(option, list) and option else [option]
        if not all(isinstance(name, (str, dict, Sweep)) or hasattr(name, "text") for name in names):
            raise UserError(f"{shortened(override)}: {group} is a group: give one of {known}, or leave it out")


def option_names(folder: Path) -> list[str]:
    """Return the names of the options in the folder of a config group, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))
