"""Where labelled rows come from: files, or the hub by `datasets`; and which of them are training, validation, test."""

from __future__ import annotations

import glob
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bert_lightning.data.labelled.rows import Row, check_mappings, read_table
from bert_lightning.data.randomness import Stream, draw, permute
from bert_lightning.errors import UserError
from bert_lightning.text.files import PACKAGE_PREFIX, resolve
from bert_lightning.text.sentences import split_position


class Source(Protocol):
    """Rows by split."""

    def has(self, split: str) -> bool:
        """Whether the source names that split."""

    def files(self, split: str) -> list[Path]:
        """The files of a split; none where it is not read from files."""

    def read(self, split: str) -> list[Row] | None:
        """The rows of a split; None where the source does not have that split."""


@dataclass(frozen=True)
class Files:
    """Files of one layout.

    Args:
        path: the folder of the splits' files, or the file of the training rows alone.
        splits: split -> file, below `path` where that is a folder; or `path` itself. `train` may be left out where
            `path` is a file.
        reader: what reads a file (`read_table`, `read_columns`, `read_squad`).
        where: column -> value; other rows are left out.
    """

    path: str
    splits: Mapping[str, str | None] = field(default_factory=dict)
    reader: Callable[[Path], Iterator[Row]] = read_table
    where: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not callable(self.reader):
            raise UserError(f"task.files.reader={self.reader} reads nothing: its _target_ is missing; choose a task")
        check_mappings("task.files", splits=self.splits, where=self.where)

    def read(self, split: str) -> list[Row] | None:
        pattern = self._pattern(split)
        if pattern is None:
            return None
        rows = [row for path in self.files(split) for row in self.reader(path)]
        kept = [row for row in rows if all(self._holds(row, name, value) for name, value in self.where.items())]
        if not kept:
            raise UserError(
                f"{pattern}: no rows for {split}" + (f" with {dict(self.where)}" if rows else ": the file is empty")
            )
        return kept

    def has(self, split: str) -> bool:
        return self._pattern(split) is not None

    def files(self, split: str) -> list[Path]:
        pattern = self._pattern(split)
        return [] if pattern is None else resolve(pattern)

    def _holds(self, row: Row, name: str, value: Any) -> bool:
        if name not in row.values:
            raise UserError(f"{row.where}: no column {name!r}, by which task.files.where chooses rows")
        return str(row.get(name)) == str(value)

    def _pattern(self, split: str) -> str | None:
        name, path = self.splits.get(split), Path(self.path).expanduser()
        if name is None:
            return self.path if split == "train" and not path.is_dir() else None
        if name == self.path and not path.is_dir():
            return name
        names_files = path.is_file() or self.path.startswith(PACKAGE_PREFIX) or glob.has_magic(self.path)
        if names_files and not path.is_dir():
            return name
        # The folder is a name even where it holds a bracket; the name of the split may be a pattern.
        return str((Path(glob.escape(str(path))) if glob.has_magic(name) else path) / name)


@dataclass(frozen=True)
class Hub:
    """A data set of the Hugging Face hub, or a folder that `datasets` reads; class numbers become their names.

    Args:
        path: name or folder.
        name: configuration.
        splits: our split -> theirs.
        columns: our name of a column -> theirs, where the two differ.
    """

    path: str
    name: str | None = None
    splits: Mapping[str, str | None] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)

    def has(self, split: str) -> bool:
        return self.splits.get(split) is not None

    def files(self, split: str) -> list[Path]:
        return []

    def read(self, split: str) -> list[Row] | None:
        try:
            from datasets import load_dataset
        except ImportError:
            raise UserError("data of the hub needs the library datasets: pip install datasets") from None
        theirs = self.splits.get(split)
        if theirs is None:
            return None
        place = "/".join(filter(None, (self.path, self.name)))
        try:
            table = load_dataset(self.path, self.name, split=theirs)
        except Exception as error:  # the library raises many kinds: no network, no such name, no such split
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{place}, split {theirs}, cannot be loaded ({reason}): "
                "give the official files by task.path=..., or check name and network"
            ) from None
        names = {column: _class_names(feature) for column, feature in table.features.items()}
        renamed = {theirs: ours for ours, theirs in self.columns.items()}
        if taken := [renamed[name] for name in names if name in renamed and renamed[name] in names.keys() - {name}]:
            raise UserError(f"{place} has a column {taken[0]!r} of its own: leave it out of task.hub.columns")
        return [
            Row(
                f"{place}/{theirs}[{number}]",
                {renamed.get(column, column): _named(value, names[column]) for column, value in values.items()},
            )
            for number, values in enumerate(table)
        ]


def _class_names(feature: Any) -> list[str] | None:
    """Names of a ClassLabel, or of a list of them."""
    names: list[str] | None = getattr(getattr(feature, "feature", feature), "names", None)
    return names


def _named(value: Any, names: list[str] | None) -> Any:
    if names is None:
        return value
    if isinstance(value, list):
        return [_named(part, names) for part in value]
    return names[value] if value >= 0 else None  # -1 marks the hidden labels of a test set


def split_rows(
    source: Source, split: str, validation_fraction: float | None, key: Callable[[Row], str]
) -> tuple[list[Row], list[Row]]:
    """Training rows, and those of validation: the source's own, or a share of the training rows.

    Args:
        source: the rows.
        split: name of the validation split.
        validation_fraction: the share, where the source has no such split; None forbids it.
        key: the text of a row, by whose hash the share is chosen as `prepare` chooses it: rows of one text (questions
            of one paragraph, duplicates) stay together, and pretraining on the same texts leaves out the same ones.

    Raises:
        UserError: no rows on a side.
    """
    train = source.read("train")
    if train is None:
        raise UserError("the task's source has no training rows: name their file by task.files.splits.train=...")
    validation = source.read(split)
    if validation is not None:
        return train, validation
    if validation_fraction is None or not 0 < validation_fraction < 1:
        raise UserError(
            f"the task's source has no split {split!r}: name its file by task.files.splits.{split}=..., or take a "
            "share of the training rows by task.validation_fraction=0.1"
        )
    positions = np.array([split_position([key(row)]) for row in train])
    # A share of few rows may be none of them: then it is the text with the lowest position.
    chosen = positions < max(validation_fraction, math.nextafter(float(positions.min()), math.inf))
    if chosen.all():
        raise UserError(
            f"all {len(train)} rows have texts that fall into validation (task.validation_fraction="
            f"{validation_fraction}): lower it, or name a file by task.files.splits.{split}=..."
        )
    return [row for row, c in zip(train, chosen, strict=True) if not c], [
        row for row, c in zip(train, chosen, strict=True) if c
    ]


def subset(rows: Sequence[Row], size: int | None, name: str = "task.train_examples") -> list[Row]:
    """A random `size` of the rows, the same for every seed of training; all if None.

    Raises:
        UserError: fewer rows than that.
    """
    if size is None:
        return list(rows)
    if not 0 < size <= len(rows):
        raise UserError(f"{name}={size} must be from 1 to the {len(rows)} rows there are")
    chosen = permute(np.arange(size), len(rows), draw(0, Stream.SUBSET))
    return [rows[index] for index in chosen]
