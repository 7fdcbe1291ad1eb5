"""Sources of labelled rows (files or the Hugging Face hub), and the selection of training and validation rows."""

from __future__ import annotations

import glob
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bert_lightning.data.randomness import RandomStream, random_bits, random_permutation
from bert_lightning.errors import UserError
from bert_lightning.text.files.paths import PACKAGE_PREFIX, resolve
from bert_lightning.text.files.rows import Row, read_rows
from bert_lightning.text.hub import check_name
from bert_lightning.text.sentences import split_position


def check_mappings(group: str, **settings: object) -> None:
    """Check that the settings of a config group are mappings of names to values.

    Raises:
        UserError: if a setting is not.
    """
    for name, value in settings.items():
        if not isinstance(value, Mapping):
            raise UserError(f"{group}.{name}={value} must be a mapping, {{name: value}}")


class Source(Protocol):
    """A source of labelled rows, by split: train, validation, test."""

    def has(self, split: str) -> bool:
        """Return whether the source names a split."""

    def files(self, split: str) -> list[Path]:
        """Return the files of a split; empty if its rows do not come from files."""

    def read(self, split: str) -> list[Row] | None:
        """Return the rows of a split; None if the source does not have the split."""


@dataclass(frozen=True)
class Files:
    """Labelled rows from files of one layout.

    Args:
        path: folder with the files of all splits, or file with the training rows only.
        splits: split -> its file, relative to `path` if that is a folder. If `path` is a file, `train` may be left out.
        reader: function that reads a file (`read_rows`, `read_columns`, `read_squad`).
        where: column -> value; rows with another value are left out.

    Raises:
        UserError: if `reader` is missing, or `splits` or `where` is not a mapping.
    """

    path: str
    splits: Mapping[str, str | None] = field(default_factory=dict)
    reader: Callable[[Path], Iterator[Row]] = read_rows
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
        kept = [row for row in rows if row.has(self.where, "task.files.where")]
        if not kept:
            raise UserError(
                f"{pattern}: no rows for {split} with {dict(self.where)}: change task.files.where"
                if rows
                else f"{pattern}: no rows for {split}: the file is empty; give one with rows"
            )
        return kept

    def has(self, split: str) -> bool:
        return self._pattern(split) is not None

    def files(self, split: str) -> list[Path]:
        pattern = self._pattern(split)
        return [] if pattern is None else resolve(pattern)

    def _pattern(self, split: str) -> str | None:
        name, path = self.splits.get(split), Path(self.path).expanduser()
        if name is None:
            return self.path if split == "train" and not path.is_dir() else None
        if name == self.path and not path.is_dir():
            return name
        names_files = path.is_file() or self.path.startswith(PACKAGE_PREFIX) or glob.has_magic(self.path)
        if names_files and not path.is_dir():
            return name
        # Only the split's file may be a glob pattern. The folder is a plain name, even if it has brackets.
        return str((Path(glob.escape(str(path))) if glob.has_magic(name) else path) / name)


@dataclass(frozen=True)
class Hub:
    """Labelled rows from the Hugging Face hub, or from a folder that `datasets` reads. Class numbers become names.

    Args:
        path: name of the data set, or folder.
        name: configuration of the data set.
        splits: name of a split in this program -> its name in the data set.
        columns: name of a column in this program -> its name in the data set, if the two differ.
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
        check_name(self.path)
        place = "/".join(filter(None, (self.path, self.name)))
        try:
            table = load_dataset(self.path, self.name, split=theirs)
        except Exception as error:  # the library raises many types: no network, no such name, no such split
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


@dataclass(frozen=True)
class AllHubConfigurations(Hub):
    """Labelled rows from all configurations of a data set of the hub, one after another. `name` is not used."""

    def read(self, split: str) -> list[Row] | None:
        try:
            from datasets import get_dataset_config_names
        except ImportError:
            raise UserError("data of the hub needs the library datasets: pip install datasets") from None
        check_name(self.path)
        try:
            names = get_dataset_config_names(self.path)
        except Exception as error:  # the library raises many types
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{self.path} cannot be loaded ({reason}): give the files by task.path=..., or check the network"
            ) from None
        tables = [Hub(self.path, name, self.splits, self.columns).read(split) for name in names]
        return None if None in tables else [row for table in tables if table is not None for row in table]


def _class_names(feature: Any) -> list[str] | None:
    """Return the class names of a ClassLabel, or of a list of them; None for another feature."""
    names: list[str] | None = getattr(getattr(feature, "feature", feature), "names", None)
    return names


def _named(value: Any, names: list[str] | None) -> Any:
    if names is None:
        return value
    if isinstance(value, list):
        return [_named(part, names) for part in value]
    return names[value] if value >= 0 else None  # -1 marks the unpublished labels of a test set


def split_rows(
    source: Source, split: str, validation_fraction: float | None, key: Callable[[Row], str]
) -> tuple[list[Row], list[Row]]:
    """Return the training rows and the validation rows. If the source has no validation split, divide its rows.

    Args:
        source: source of the rows.
        split: name of the validation split.
        validation_fraction: fraction of the training rows for validation, if the source has no such split; None
            forbids this.
        key: function that returns the text of a row. The hash of this text puts the row into training or validation, as
            in `prepare`. So rows of one text (questions of one paragraph, duplicates) stay together. Pretraining on the
            same texts puts the same ones into validation.

    Raises:
        UserError: if there are no rows for training or for validation.
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
    # A small fraction of few rows may select none. Then select the rows with the lowest hash.
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
    """Return a random subset of `size` rows that does not depend on the training seed; all rows if `size` is None.

    Raises:
        UserError: if `size` is below 1, or there are fewer rows.
    """
    if size is None:
        return list(rows)
    if not 0 < size <= len(rows):
        raise UserError(f"{name}={size} must be from 1 to the {len(rows)} rows there are")
    chosen = random_permutation(np.arange(size), len(rows), random_bits(0, RandomStream.SUBSET))
    return [rows[index] for index in chosen]
