"""Sort the arguments of a verb into Hydra's flags, overrides and plain arguments, in any order."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path

from bert_lightning.errors import UserError
from bert_lightning.quoting import shortened

# Verbs that take plain arguments -> the config key that holds them. For some, overrides are plain
# arguments too. They apply to the pretraining config that is shown or checked, and a key may be given twice.
POSITIONAL_KEYS = {"predict": "texts", "visualize": "texts", "runs": "folders", "study": "arguments",
                   "compare": "sources", "sweep": "folders", "models": "overrides", "diff": "overrides",
                   "doctor": "overrides"}  # fmt: skip
# Verbs with a key `format`, for which --json is short for format=json.
JSON_VERBS = ("runs", "study", "sweep", "doctor")
_OVERRIDE = re.compile(r"^([~+]+[\w./@:-]+$|[~+]*[\w./@:-]+=)")

_SHORT = {"-c": "--cfg", "-m": "--multirun", "-p": "--package", "-r": "--run", "-i": "--info", "-cd": "--config-dir",
          "-cn": "--config-name"}  # fmt: skip
_SWITCHES = ("--multirun", "--run", "--resolve", "--hydra-help")
_VALUES: dict[str, tuple[str, ...]] = {  # flags that take a value -> the allowed values; empty: any value
    "--cfg": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    "--package": (),
    "--config-dir": (),
    "--config-name": (),
}


@dataclass
class Arguments:
    """The arguments of one verb."""

    flags: dict[str, str | None] = field(default_factory=dict)  # long name -> value; None: the flag takes no value
    overrides: list[str] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)

    @property
    def sweep(self) -> bool:
        """Return whether the arguments ask for a sweep, by Hydra's flag `--multirun`."""
        return "--multirun" in self.flags

    def of_flags(self, *without: str) -> list[str]:
        """Return the flags and their values as a list for Hydra's own parser, except the flags in `without`."""
        kept = {name: value for name, value in self.flags.items() if name not in without}
        return [text for name, value in kept.items() for text in (name, value) if text is not None]

    @classmethod
    def of(cls, verb: str, arguments: list[str]) -> Arguments:
        """Sort the arguments that were typed after the verb. No argument after `--` is a flag.

        Raises:
            UserError: if a flag does not exist, lacks its value, is given twice, or has a value that it does not take.
        """
        found = cls()
        rest = list(arguments)
        while rest:
            argument = rest.pop(0)
            if argument == "--":
                (found.plain if verb in POSITIONAL_KEYS else found.overrides).extend(rest)
                break
            if argument.startswith("-"):
                found._add_flag(verb, argument, rest)
            elif verb in JSON_VERBS and argument.startswith("format="):
                found.overrides.append(argument)
            elif verb in POSITIONAL_KEYS and (POSITIONAL_KEYS[verb] == "overrides" or not _OVERRIDE.match(argument)):
                found.plain.append(argument)
            else:
                found.overrides.append(argument)
        return found

    def _add_flag(self, verb: str, argument: str, rest: list[str]) -> None:
        """Add a flag. Its value comes after the `=`, or else is the first argument of `rest`, which is removed."""
        if argument == "--json" and verb in JSON_VERBS:
            self.overrides.append("format=json")
            return
        name, equals, value = argument.partition("=")
        name = _SHORT.get(name, name)
        if name in _SWITCHES and not equals:
            self.flags[name] = None
            return
        if name not in _VALUES:
            raise UserError(_unknown(verb, argument))
        if not equals:
            value = rest.pop(0) if rest and not (name == "--info" and rest[0] not in _VALUES[name]) else ""
            value = "all" if name == "--info" and not value else value
        _check_value(name, value)
        if self.flags.setdefault(name, value) != value:
            raise UserError(f"{name} is given twice, as {self.flags[name]} and as {value}: give it once")


def _check_value(name: str, value: str) -> None:
    choices = _VALUES[name]
    if choices and value not in choices:
        raise UserError(f"{name}={shortened(value)} must be {', '.join(choices[:-1])} or {choices[-1]}")
    if not value:
        raise UserError(f"{name} needs a value: give {name} <{name.rpartition('-')[2]}>")
    if name == "--config-dir" and not Path(value).is_dir():
        what = "is not a folder" if Path(value).exists() else "does not exist"
        raise UserError(f"--config-dir={shortened(value)} {what}: give the folder that holds your own yaml files")


def _unknown(verb: str, argument: str) -> str:
    """Return the message for a flag that does not exist."""
    known = [*_SWITCHES, *_VALUES, "--help"]
    near = difflib.get_close_matches(argument.partition("=")[0], known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the flags are {', '.join(known)}"
    text = ", and a text that begins with - must come after --" if POSITIONAL_KEYS.get(verb) == "texts" else ""
    return f"{verb} has no flag {shortened(argument)}: {hint}{text}"
