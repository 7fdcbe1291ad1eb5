"""Output of predictions: files that appear when they are complete, notes and a progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from bert_lightning.runs.writing import named, output_file

T = TypeVar("T")


@contextmanager
def json_lines(path: str | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Open a file for rows of JSON, and yield a function that writes one row. The file gets its name at the end.

    Without a path, the function writes nothing.
    """
    if path is None:
        yield lambda _: None
        return
    with output_file(Path(path)) as file:

        def write(row: dict[str, Any]) -> None:
            with named(Path(path)):
                print(json.dumps(row, ensure_ascii=False), file=file)

        yield write


def note_cut(cut: int, total: int, examples: str, length: int) -> None:
    """Print on standard error how many examples were cut, if any."""
    if cut:
        what = "is longer than" if cut == 1 else "are longer than"
        print(f"note: {cut} of {total} {examples} {what} task.max_length={length}, and cut", file=sys.stderr)


def note_written(path: str | None) -> None:
    """Print on standard error where the predictions were written, if anywhere."""
    if path is not None:
        print(f"# predictions: {path}", file=sys.stderr)


def progress(items: Iterable[T], total: int) -> Iterable[T]:
    """Return the items, with a progress bar if standard error is a terminal."""
    from tqdm import tqdm

    return tqdm(items, total=total, leave=False, disable=not sys.stderr.isatty())  # type: ignore[no-any-return]
