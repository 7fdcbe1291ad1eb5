"""Turn the errors of Hydra and OmegaConf into messages of one line, with a guess at what the user meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import GrammarParseError, InterpolationKeyError, OmegaConfBaseException

from bert_lightning.config import hydra_registry
from bert_lightning.config.composition import NotComposable
from bert_lightning.console.override_syntax import explain_unreadable, option_names
from bert_lightning.errors import UserError
from bert_lightning.help import conf_folder
from bert_lightning.quoting import shortened
from bert_lightning.renames import renamed

_NOISE = ("full_key:", "object_type=", "reference_type=", "To append to your", "Config search path:", "provider=",
          "See https://", "Set the environment")  # fmt: skip
_MERGING = "Error merging override "
_GROUP_IS_NULL = ("Unexpected type for root", "reference_type=Optional[")  # OmegaConf's answers to a key below null
_COMPOSES = {"models": "pretrain", "diff": "pretrain", "doctor": "pretrain", "glue": "finetune", "demo": "finetune"}


@contextmanager
def explained_config_errors(verb: str, overrides: Sequence[str]) -> Iterator[None]:
    """Turn an error of Hydra or OmegaConf in this block into a UserError of one line.

    Args:
        verb: the verb whose config is composed or read.
        overrides: the overrides that the user gave.
    """
    try:
        yield
    except NotComposable as error:
        reason = explain_config_error(error.__cause__ or error, error.verb, error.overrides)
        raise UserError(f"{error.where}: {reason}") from error
    except (AssertionError, AttributeError) as error:
        if not any(answer in str(error) for answer in _GROUP_IS_NULL):
            raise
        below = [override for override in overrides if re.match(r"\+*\w+(\.|=\{)", override)]
        group = re.split(r"[.=]", below[0].lstrip("+"))[0] if below else "its group"
        raise UserError(f"{' '.join(below)}: no {group} is chosen: add {group}=<option>") from None
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain_config_error(error, verb, overrides)) from error


def explain_config_error(error: BaseException, verb: str = "", overrides: Sequence[str] = ()) -> str:
    """Return a message of one line for an error of Hydra or OmegaConf.

    Args:
        error: an error raised while a config is composed or read.
        verb: the verb whose keys may be suggested; empty: groups and top-level keys of all verbs.
        overrides: the overrides of the command line.
    """
    lines = [line.strip() for line in f"{error}\n{error.__cause__ or ''}".splitlines() if line.strip()]
    first = lines[0] if lines else type(error).__name__
    if isinstance(error, MissingConfigException):
        return _missing_config(error, first, overrides)
    if isinstance(error, OverrideParseException):
        return explain_unreadable(error.override)
    if isinstance(error, GrammarParseError):
        given = next((f"{shortened(o)}: " for o in overrides if "${" in o), "")
        return f"{given}this is not an interpolation ({first}): write ${{key}}, with both braces"
    if missing := re.search(r"Missing mandatory value: (\S+)", str(error)):
        return f"{missing[1]} has no value: give {missing[1]}=..."
    unknown = re.search(r"full_key: (\S+)", str(error))
    if unknown and (sentence := renamed(unknown[1])):
        return sentence
    text = _of_override(first, verb, overrides)
    if first.startswith(_MERGING):
        lines[0] = first.removeprefix(_MERGING) + ":"
    text = text or " ".join(dict.fromkeys(line for line in lines if not line.startswith(_NOISE)))
    if isinstance(error, InterpolationKeyError) and (absent := re.search(r"key '([^']+)' not found", first)):
        text += suggest_keys(absent[1], verb, overrides, "${{{}}}")
    key = str(getattr(error, "full_key", None) or getattr(error.__cause__, "full_key", None) or "")
    return text if not key or text.startswith(key) else f"{_given(key, overrides)}: {text}"


def _of_override(line: str, verb: str, overrides: Sequence[str]) -> str:
    """Return what is wrong with an override that Hydra cannot apply; empty if this is the line of another error."""
    if unknown := re.search(r"Could not override '([^']+)'", line):
        key = unknown[1]
        if sentence := renamed(_given(key, overrides)):
            return sentence
        if "@" in key:
            group = key.partition("@")[0]
            return f"{_given(key, overrides)}: the config has no group at this place: write {group}=..."
        return f"{_given(key, overrides)}: there is no such key{suggest_keys(key, verb, overrides)}"
    if present := re.search(r"An item is already at '([^']+)'", line):
        given = _given(present[1], overrides)
        return f"+{given}: {present[1]} exists already: write {given} without the +"
    if several := re.search(r"Multiple values for ([^.\s]+)\.", line):
        return f"{several[1]} is given twice: give it once"
    if absent := re.search(r"Could not delete (?:from config\. )?'([^'=]*)(=?[^']*)'", line):
        key = absent[1]
        if sentence := renamed(key):
            return sentence
        hint = f"; ~{key} deletes it whatever its value" if absent[2] else suggest_keys(key, verb, overrides, "~{}")
        return f"~{key}{absent[2]}: there is no such key to delete{hint}"
    return ""


def _given(key: str, overrides: Sequence[str]) -> str:
    """Return the override of a key as the user typed it, or the key alone if the user did not give it."""
    found = [o.lstrip("+~") for o in overrides if o.lstrip("+~").partition("=")[0] == key]
    return shortened(found[-1]) if found else key


def _missing_config(error: MissingConfigException, line: str, overrides: Sequence[str]) -> str:
    """Return the message for an option of a group, or a config of `--config-name`, that does not exist."""
    name = str(error.missing_cfg_file or "")
    group, _, option = name.rpartition("/")
    if sentence := renamed(f"{group}={shortened(option)}"):
        return sentence
    if not group:
        known = sorted(path.stem for path in conf_folder().glob("*.yaml"))
        return f"--config-name={option}: there is no such config{_nearest(option, known, '')}"
    known = list(error.options or []) or option_names(conf_folder() / group)
    return f"{group}={shortened(option)}: {group} has no such option{_nearest(option, known, '')}"


def _nearest(name: str, known: list[str], end: str) -> str:
    """Return the end of a message: the known name that is spelled most like `name`, if any, and all known names."""
    matches = difflib.get_close_matches(name, known, n=1)
    meant = f": did you mean {matches[0]}{end}?" if matches else ":"
    return f"{meant} There are {', '.join(known)}" if matches else f"{meant} there are {', '.join(known)}"


def suggest_keys(key: str, verb: str, overrides: Sequence[str], form: str = "{}=...") -> str:
    """Return the end of a message that suggests other keys than `key`.

    Suggested are keys with the same last part, or else the key or group that is spelled most like `key`.

    Args:
        key: the dotted key that does not exist.
        verb: the verb whose keys are suggested; empty: groups and top-level keys of all verbs.
        overrides: the overrides of the command line.
        form: the format in which a key is suggested.
    """
    groups = [folder.name for folder in conf_folder().iterdir() if folder.is_dir()]
    known = _keys(_COMPOSES.get(verb, verb), key, overrides) if verb else []
    own = [path for path in known if not path.startswith("published.")]  # facts about a publication are never set
    last = key.rpartition(".")[2]
    found = [path for path in own if path.rpartition(".")[2] == last and path != key]
    if not found and "." in key:
        found = difflib.get_close_matches(key, known, n=1, cutoff=0.8)
    elif not found:
        top = [path for path in own if "." not in path] or hydra_registry.keys()
        found = difflib.get_close_matches(key, [*groups, *top], n=1, cutoff=0.75)
    if not found:
        ends = {path.rpartition(".")[2]: path for path in reversed(own)}
        found = [ends[end] for end in difflib.get_close_matches(last, list(ends), n=1, cutoff=0.75)]
    if not found:
        return ". To see all keys add --cfg job"
    return f": did you mean {' or '.join(map(form.format, found[:6]))}?"


def _keys(verb: str, key: str, overrides: Sequence[str]) -> list[str]:
    """Return the dotted keys of a verb's config with the options of the command line, or with the default options."""
    chosen = [o for o in overrides if re.fullmatch(r"\w+=[\w.-]+", o) and not o.startswith(f"{key}=")]
    for given in (chosen, []):
        try:
            if GlobalHydra.instance().is_initialized():
                composed = compose(verb, given)
            else:
                with initialize_config_dir(str(conf_folder()), version_base="1.3"):
                    composed = compose(verb, given)
            return list(_paths(OmegaConf.to_container(composed), ""))
        except (HydraException, OmegaConfBaseException, ValueError):
            continue
    return []


def _paths(node: Any, path: str) -> Iterator[str]:
    for key, child in node.items() if isinstance(node, dict) else ():
        if not str(key).startswith("_"):
            yield f"{path}{key}"
            yield from _paths(child, f"{path}{key}.")
