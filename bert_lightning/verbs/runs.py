"""`bert-lightning runs`: list the runs below a folder, with their state, settings, metric, age and size."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from bert_lightning.compare.run_list import in_order, metric, selected, short_names, shown, varied_settings
from bert_lightning.runs.json_numbers import finite
from bert_lightning.runs.run_records import STATES, RunRecord, find_runs, read_runs
from bert_lightning.text_table import table

_HEADER = ("run", "state", "verb", "differs in", "metric", "", "changed", "size", "note")
_NUMBERS = (5, 6, 7)  # the columns that hold numbers
_WIDEST = 100  # most characters of what a run varies
_AGES = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_SIZES = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"), (1, "B"))


def run(config: DictConfig) -> None:
    """Print the selected runs as a table or as JSON."""
    now = time.time()
    records = list_runs(config, now)
    if config.format == "json":
        print(json.dumps([_plain(record) for record in records], indent=1))
        return
    if not records:
        print(f"no run in {' '.join(_folders(config))}" + (" meets the conditions" if config.where else ""))
        return
    varied = varied_settings(records)
    short = short_names(list(dict.fromkeys(key for values in varied for key in values)))
    texts = [" ".join(f"{short[k]}={shown(v)}" for k, v in values.items() if v is not None) for values in varied]
    rows = [_HEADER, *(_row(record, text, now) for record, text in zip(records, texts, strict=True))]
    empty = {i for i in range(len(_HEADER)) if not any(row[i] for row in rows[1:])}
    kept = [i for i in range(len(_HEADER)) if i not in empty]
    print(table([[row[i] for i in kept] for row in rows], [kept.index(i) for i in _NUMBERS if i in kept]))
    counts = Counter(record.state for record in records)
    states = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    total = _in_unit(sum(record.size for record in records), _SIZES)
    print(f"\n{len(records)} {'run' if len(records) == 1 else 'runs'}: {states}; {total}")


def list_runs(config: DictConfig, now: float) -> list[RunRecord]:
    """Return the records of the runs below the folders that meet the conditions, in order."""
    paths = dict.fromkeys(path for folder in _folders(config) for path in find_runs(Path(folder).expanduser()))
    return in_order(selected(read_runs(paths), list(config.where), now), config.sort, now)


def _folders(config: DictConfig) -> list[str]:
    return [config.runs] if config.folders is None else list(config.folders)


def _row(record: RunRecord, varied: str, now: float) -> tuple[str, ...]:
    name, value = metric(record)
    return (
        os.path.relpath(record.path) if record.path.is_relative_to(Path.cwd()) else str(record.path),
        record.state, record.verb or "", varied if len(varied) <= _WIDEST else f"{varied[: _WIDEST - 3]}...",
        name if value is not None else "", "" if value is None else f"{value:.4g}",
        _in_unit(max(0.0, now - record.modified), _AGES) + " ago", _in_unit(record.size, _SIZES), record.note,
    )  # fmt: skip


def _plain(record: RunRecord) -> Any:
    name, value = metric(record)
    return finite(
        {
            "path": str(record.path), "state": record.state, "verb": record.verb, "note": record.note,
            "metric": name, "value": value, "modified": record.modified, "size": record.size,
            "choices": record.choices(), "config": record.config, "summary": record.summary,
        }
    )  # fmt: skip


def _in_unit(value: float, units: tuple[tuple[int, str], ...]) -> str:
    """Return a number in the largest unit that it fills."""
    size, unit = next(((size, unit) for size, unit in units if value >= size), units[-1])
    return f"{value / size:.{1 if value < 10 * size and size > 1 else 0}f} {unit}"
