"""`metrics.csv`: a row for every logged step, whole at any moment, and continued where a checkpoint left it."""

from __future__ import annotations

import csv
import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from bert_lightning.errors import UserError
from bert_lightning.runs.environment import note
from bert_lightning.runs.reading import unreadable
from bert_lightning.runs.writing import replacing


class CsvLog(Logger):
    """Rows are appended as they come. A new column rewrites the file beside its place, and renames it.

    Rows that cannot be written are kept until they can be: a full disk costs none of them as long as the process lives.

    Args:
        path: the file.
        first_step: of the rows to come; those from there on that an interrupted run left are dropped.
    """

    def __init__(self, path: Path, first_step: int = 0) -> None:
        super().__init__()
        self.path, self.first_step = path, first_step
        self._columns: list[str] | None = None  # None: the file was not looked at yet
        self._waiting: list[dict[str, Any]] = []  # rows to be written
        self._failed = False
        if first_step:
            self._check()

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The run's folder has config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._waiting.append({**metrics, "step": step})
        self._try()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._waiting:
            self._try()

    def _check(self) -> None:
        """Raise UserError where the rows of the run so far cannot be continued."""
        try:
            rows = self._rows()
            whole = all("step" in row and None not in row and None not in row.values() for row in rows)
        except OSError as error:
            raise UserError(unreadable(self.path, error)) from None
        except (ValueError, csv.Error):  # not UTF-8, or no table
            whole = False
        if not whole:
            raise UserError(f"{self.path} is not the log of a run: move it away, and the run logs from here on")

    def _try(self) -> None:
        try:
            self._write()
        except OSError as error:
            if not self._failed:
                note(f"{self.path} cannot be written ({error.strerror}); its rows wait")
            self._failed = True

    def _write(self) -> None:
        """Write the rows that wait, all or none."""
        if self._columns is None:
            self._columns = self._continue()
        columns = sorted({*self._columns, *(key for row in self._waiting for key in row)})
        if set(columns) != set(self._columns):
            self._rewrite(columns, [*self._rows(), *self._waiting])
            self._columns = columns
        else:
            self._append(self._columns, self._waiting)
        self._waiting, self._failed = [], False

    def _append(self, columns: list[str], rows: list[dict[str, Any]]) -> None:
        size = self.path.stat().st_size
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, columns).writerows(rows)
        except OSError:
            os.truncate(self.path, size)
            raise

    def _continue(self) -> list[str]:
        """The columns of what an earlier part of the run wrote, without the rows that will be written again."""
        rows = [row for row in self._rows() if (row.get("step") or "").isdigit() and int(row["step"]) < self.first_step]
        if not rows:
            self.path.unlink(missing_ok=True)
            return []
        self._rewrite(list(rows[0]), rows)
        return list(rows[0])

    def _rows(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # the last row may be torn
        return list(csv.DictReader(whole.splitlines(keepends=True)))

    def _rewrite(self, columns: list[str], rows: list[dict[str, str]]) -> None:
        with replacing(self.path) as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
