"""The file `sweep.yaml` in a search's folder: what was asked for. A search that goes on must ask for the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from bert_lightning.errors import UserError
from bert_lightning.runs.atomic_writes import replace_atomically
from bert_lightning.runs.run_files import read_plain_yaml

REQUEST, JOURNAL, LOCKS = "sweep.yaml", "trials.journal", ".locks"  # in the folder of a search
_NOT_DECISIVE = ("trials", "hours", "flags")  # keys that may change when a search goes on


@dataclass(frozen=True)
class Request:
    """The content of `sweep.yaml`: what a search was asked for."""

    verb: str
    metric: str
    mode: str
    space: dict[str, str]
    conditions: dict[str, Any]
    overrides: list[str]  # those that all trials share
    settings: dict[str, Any]
    trials: int | None
    hours: float | None
    flags: list[str] = field(default_factory=list)  # of the command line: --config-dir and its folder

    @classmethod
    def read(cls, folder: Path) -> Request:
        """Return the request in the folder of a search.

        Raises:
            UserError: if the folder holds no search, or the file is damaged.
        """
        path = folder / REQUEST
        if not path.is_file():
            raise UserError(f"{folder} is not the folder of a search: it has no {REQUEST}")
        values = read_plain_yaml(path)
        found = cls(**{name: values.get(name) for name in cls.__dataclass_fields__})  # type: ignore[arg-type]
        if problem := found._problem():
            raise UserError(f"{path} is damaged ({problem}): restore it from a copy")
        return found

    def write(self, folder: Path) -> None:
        """Write the request into the folder of the search."""
        with replace_atomically(folder / REQUEST) as file:
            file.write("# What this search was asked for. The same command continues it.\n")
            yaml.safe_dump(asdict(self), file, sort_keys=False, allow_unicode=True)

    def check_same(self, before: Request, folder: Path) -> None:
        """Check that this request continues the search of another one.

        Raises:
            UserError: if it differs in anything but the budget.
        """
        theirs, ours = ({k: v for k, v in asdict(r).items() if k not in _NOT_DECISIVE} for r in (before, self))
        for key, value in theirs.items():
            if value != ours[key]:
                there, now = _difference(value, ours[key])
                raise UserError(
                    f"{folder} holds another search: {key} has {there} there, and {now} now. "
                    "Choose another name=..., or delete the folder"
                )

    def _problem(self) -> str | None:
        texts = {"verb": self.verb, "metric": self.metric, "mode": self.mode}
        if wrong := [f"{name} is {value!r:.40}" for name, value in texts.items() if not isinstance(value, str)]:
            return wrong[0]
        if self.mode not in ("min", "max"):
            return f"mode is {self.mode!r:.40}"
        for name in ("space", "conditions", "settings"):
            if not isinstance(getattr(self, name), dict):
                return f"{name} is {getattr(self, name)!r:.40}"
        for name in ("overrides", "flags"):
            value = getattr(self, name)
            if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
                return f"{name} is {value!r:.40}"
        return None


def _difference(theirs: Any, ours: Any) -> tuple[str, str]:
    """Return what two values have that the other one lacks, as short texts."""
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        keys = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
        return _shown([f"{k}={theirs[k]}" for k in keys if k in theirs]), _shown(
            [f"{k}={ours[k]}" for k in keys if k in ours]
        )
    if isinstance(theirs, list) and isinstance(ours, list):
        return _shown([each for each in theirs if each not in ours]), _shown([e for e in ours if e not in theirs])
    return str(theirs), str(ours)


def _shown(values: list[str]) -> str:
    return " ".join(values)[:200] or "nothing of it"
