"""The table of several measured checkpoints: one row for each, as text and as a CSV or JSONL file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bert_lightning.runs.json_numbers import finite
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.tasks.checkpoint_evaluation import run_of
from bert_lightning.tasks.output import checked_output
from bert_lightning.text_table import table

_CSV = ".csv"  # ending of a file that becomes CSV; any other becomes JSONL


@dataclass
class CheckpointTable:
    """The rows of a table. A row has `run`, `checkpoint`, `step` and what `evaluate_checkpoint` returned."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    @contextmanager
    def writing(cls, output: str | None) -> Iterator[CheckpointTable]:
        """Yield an empty table. When the `with` block ends, its rows are written to the file `output`, if it is given.

        Raises:
            UserError: if the file cannot be written, or belongs to a run. This is checked at the start.
        """
        found = cls()
        with checked_output(output, None) as file:
            yield found
            if file is not None:
                file.write(found._as_csv() if str(output).endswith(_CSV) else found._as_json_lines())

    def add(self, source: PretrainedWeights, result: dict[str, Any]) -> None:
        """Add the row of a checkpoint."""
        run = run_of(source)
        known = {"run": str(run.path), "checkpoint": source.path.resolve().name, "step": source.step}
        self.rows.append({**known, **{key: value for key, value in result.items() if key != "run"}})

    def text(self) -> str:
        """Return the table as text: run, checkpoint, step, and the metrics. A missing value is empty."""
        names = self._metric_names()
        head = ["run", "checkpoint", "step", *names]
        rows = [[_shown(value) for value in self._cells(row, names)] for row in self.rows]
        return table([head, *rows], right_aligned=range(2, len(head)))

    def _metric_names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row["metrics"]))

    def _cells(self, row: dict[str, Any], names: list[str]) -> list[Any]:
        return [row["run"], row["checkpoint"], row["step"], *(row["metrics"].get(name) for name in names)]

    def _as_csv(self) -> str:
        names, file = self._metric_names(), io.StringIO(newline="")
        writer = csv.writer(file)
        writer.writerow(["run", "checkpoint", "step", *names, "split", "examples"])
        writer.writerows([*self._cells(row, names), row["split"], row["examples"]] for row in self.rows)
        return file.getvalue()

    def _as_json_lines(self) -> str:
        return "".join(json.dumps(finite(row), ensure_ascii=False) + "\n" for row in self.rows)


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
