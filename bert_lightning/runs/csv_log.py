"""The log `metrics.csv`: one row for each logged step. A resumed run continues the rows at its checkpoint's step."""

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
from bert_lightning.runs.atomic_writes import replace_atomically
from bert_lightning.runs.run_files import unreadable_message
from bert_lightning.runtime.environment import note


class CsvLog(Logger):
    """A logger that appends a row to a CSV file at each call.

    If a row brings a new column, the whole file is written to a temporary file, which then replaces it. Rows that
    cannot be written are kept in memory and written later: a full disk loses none while the process lives.

    Args:
        path: the CSV file.
        first_step: step of the next row. Rows of this step or later are deleted: an interrupted run wrote them.

    Raises:
        UserError: if `first_step` is above 0 and the file is not the readable log of a run.
    """

    def __init__(self, path: Path, first_step: int = 0) -> None:
        super().__init__()
        self.path, self.first_step = path, first_step
        self._columns: list[str] | None = None  # None: the file was not read yet
        self._waiting: list[dict[str, Any]] = []  # rows that are not written yet
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
        """Do nothing: the hyperparameters are in `config.yaml` in the run's folder."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._waiting.append({**metrics, "step": step})
        self._try()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._waiting:
            self._try()

    def _check(self) -> None:
        """Raise UserError if the existing file cannot be read, or is not the log of a run."""
        try:
            rows = self._rows()
            whole = all("step" in row and None not in row and None not in row.values() for row in rows)
        except OSError as error:
            raise UserError(unreadable_message(self.path, error)) from None
        except (ValueError, csv.Error):  # the file is not UTF-8, or not a table
            whole = False
        if not whole:
            raise UserError(f"{self.path} is not the log of a run: move it elsewhere, and the run starts a new log")

    def _try(self) -> None:
        """Write the waiting rows, or keep them if that fails. Only the first of several failures prints a note."""
        try:
            self._write()
        except OSError as error:
            if not self._failed:
                note(f"{self.path} cannot be written ({error.strerror}): its rows are kept in memory and written later")
            self._failed = True

    def _write(self) -> None:
        """Write all waiting rows, or none if an error occurs."""
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
        """Append rows to the file. On an error, cut the file to its former size, so that no partial row stays."""
        size = self.path.stat().st_size
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, columns).writerows(rows)
        except OSError:
            os.truncate(self.path, size)
            raise

    def _continue(self) -> list[str]:
        """Drop the rows of the file that this process will write again, and return the columns of the others."""
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
        whole = text[: text.rfind("\n") + 1]  # a killed process may have left a partial last row
        return list(csv.DictReader(whole.splitlines(keepends=True)))

    def _rewrite(self, columns: list[str], rows: list[dict[str, str]]) -> None:
        with replace_atomically(self.path) as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
