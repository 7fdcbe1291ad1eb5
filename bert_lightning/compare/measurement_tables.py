"""Read and write measurements as a table with the columns arm, seed, task, example, value.

Any program can write such a table. `finetuning_seed` and `cluster` are optional columns. A row without an example has
the whole value of one run; rows with examples have the values whose mean is the run's value.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bert_lightning.compare.measurements import Measurement
from bert_lightning.errors import UserError
from bert_lightning.runs.run_files import read_text

_REQUIRED = ("arm", "seed", "task", "value")
COLUMNS = ("arm", "seed", "finetuning_seed", "task", "example", "cluster", "value")


def read_table(path: Path) -> list[Measurement]:
    """Return the measurements in a CSV file.

    Raises:
        UserError: if a column is missing, or a row has no seed or number. The message names the line.
    """
    reader = csv.DictReader(io.StringIO(read_text(path).removeprefix("\ufeff")))
    try:
        if missing := [name for name in _REQUIRED if name not in (reader.fieldnames or ())]:
            raise UserError(
                f"{path} has no column {missing[0]}: its first line must name the columns {', '.join(COLUMNS)} "
                "(finetuning_seed, example and cluster may be left out)"
            )
        found = measurements_of_rows(reader, str(path).replace("{", "{{").replace("}", "}}") + ", row {}")
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num + 1}: {error}: write it as CSV in UTF-8") from None
    if not found:
        raise UserError(f"{path} has no row below its first line: add a row for each value")
    return found


def measurements_of_rows(rows: Iterable[Mapping[str, Any]], where: str = "row {}") -> list[Measurement]:
    """Return the measurements in rows, which have the columns as keys. `where` is a template for the place of a row.

    Raises:
        UserError: if a row lacks a value or has one that is no number, or an example occurs twice in one run.
    """
    runs: dict[tuple[str, int, int | None, str], list[tuple[str | None, str | None, float]]] = {}
    for number, row in enumerate(rows, 1):
        key, entry = _parsed(row, where.format(number))
        runs.setdefault(key, []).append(entry)
    return [_measurement(key, entries) for key, entries in runs.items()]


def write_table(measurements: Sequence[Measurement], file: Any) -> None:
    """Write measurements as CSV to a text file that is open for writing."""
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for m in measurements:
        start = (m.arm, m.seed, "" if m.finetuning_seed is None else m.finetuning_seed, m.measure)
        if m.values is None or m.examples is None:
            writer.writerow((*start, "", "", repr(m.value)))
            continue
        clusters: Sequence[str] = m.clusters or [""] * len(m.examples)
        for example, cluster, value in zip(m.examples, clusters, m.values.tolist(), strict=True):
            writer.writerow((*start, example, cluster, repr(value)))


def _parsed(row: Mapping[str, Any], where: str) -> tuple[tuple[str, int, int | None, str], tuple[Any, Any, float]]:
    arm, task = _text(row.get("arm")), _text(row.get("task"))
    for name, value in (("arm", arm), ("task", task)):
        if value is None:
            raise UserError(f"{where} has no {name}: give each row an arm, a seed, a task and a value")
    try:
        number = float(str(row.get("value")))
    except ValueError:
        raise UserError(f"{where}: value={row.get('value')!r:.40} is not a number") from None
    if not math.isfinite(number):
        raise UserError(f"{where}: value={row.get('value')} is not finite: leave the row out, and say so")
    seeds = [_seed(row.get(name), name, where) for name in ("seed", "finetuning_seed")]
    if seeds[0] is None:
        raise UserError(f"{where} has no seed: give a whole number")
    assert arm is not None
    assert task is not None
    return (arm, seeds[0], seeds[1], task), (_text(row.get("example")), _text(row.get("cluster")), number)


def _seed(value: Any, name: str, where: str) -> int | None:
    if value is None or value == "":
        return None
    try:
        seed = float(value)
        if seed == int(seed):
            return int(seed)
    except (TypeError, ValueError, OverflowError):
        pass
    raise UserError(f"{where}: {name}={value!r:.40} is not a whole number")


def _text(value: Any) -> str | None:
    text = "" if value is None else str(value).strip()
    return text or None


def _measurement(
    key: tuple[str, int, int | None, str], entries: Sequence[tuple[str | None, str | None, float]]
) -> Measurement:
    arm, seed, finetuning_seed, task = key
    run = f"arm={arm}, seed={seed}, task={task}"
    ids = [example for example, _, _ in entries]
    if len(entries) == 1 and ids[0] is None:
        return Measurement(arm, seed, finetuning_seed, task, entries[0][2])
    if None in ids:
        raise UserError(f"{run} has several rows, one of them without an example: give each row an example of its own")
    names = [str(example) for example in ids]
    if repeated := next(iter(_repeated(names)), None):
        raise UserError(f"{run}, example={repeated} occurs twice: give each run one row for each example")
    values = np.array([value for _, _, value in entries], dtype=np.float64)
    clusters = [cluster for _, cluster, _ in entries]
    groups = None if None in clusters else tuple(str(cluster) for cluster in clusters)
    return Measurement(arm, seed, finetuning_seed, task, float(values.mean()), tuple(names), values, groups)


def _repeated(names: Sequence[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)
