"""Output of predictions: files that appear when they are complete, notes and a progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from bert_lightning.errors import UserError
from bert_lightning.runs.atomic_writes import explain_output_errors, output_file
from bert_lightning.runs.run_folder import RunFolder

T = TypeVar("T")


@contextmanager
def json_lines(output: str | None, source: str | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Open a file for rows of JSON, and yield a function that writes one row. The file gets its name at the end.

    Args:
        output: path of the file; None: the function writes nothing.
        source: path of the file whose rows are answered, if there is one.

    Raises:
        UserError: if the file cannot be written, is the input, or belongs to a run.
    """
    with checked_output(output, source) as file:

        def write(row: dict[str, Any]) -> None:
            if file is not None and output is not None:
                with explain_output_errors(Path(output).expanduser()):
                    print(json.dumps(row, ensure_ascii=False), file=file)

        yield write


@contextmanager
def checked_output(output: str | None, source: str | None) -> Iterator[IO[str] | None]:
    """Open a text file for writing, after the checks of `json_lines`. The file gets its name at the end.

    Args:
        output: path of the file; None: there is no file.
        source: path of the file that is read, if there is one.

    Raises:
        UserError: if the file cannot be written, is the input, or belongs to a run.
    """
    if output is None:
        yield None
        return
    path = Path(output).expanduser()
    _check_not_needed(path, source)
    with output_file(path) as file:
        yield file


def _check_not_needed(path: Path, source: str | None) -> None:
    """Raise UserError if a path is that of the input, or of a file that a run consists of."""
    given = None if source is None else Path(source).expanduser()
    if given is not None and path.exists() and given.exists() and path.samefile(given):
        raise UserError(f"output={path} is the file that is read: choose another output=...")
    place = path.resolve()
    inner = place.parent.name in ("checkpoints", "predictions")
    run = RunFolder(place.parent.parent if inner else place.parent)
    own = (run.config, run.tokenizer, run.summary, run.path / "metrics.csv")
    if run.config.exists() and (place in own or place.parent in (run.checkpoints, run.predictions)):
        raise UserError(f"output={path} is a file of the run {run.path}: choose another output=...")


def note_cut(cut: int, total: int, examples: str, length: int) -> None:
    """Print on standard error how many examples were cut, if any."""
    if cut:
        what = "is longer than" if cut == 1 else "are longer than"
        print(f"note: {cut} of {total} {examples} {what} task.max_length={length} and cut to it", file=sys.stderr)


def note_written(path: str | None) -> None:
    """Print on standard error where the predictions were written, if anywhere."""
    if path is not None:
        print(f"# predictions: {path}", file=sys.stderr)


def progress(items: Iterable[T], total: int, show: bool | None = None) -> Iterable[T]:
    """Return the items, with a progress bar on standard error. `show=None`: only if that is a terminal."""
    from tqdm import tqdm

    hidden = not sys.stderr.isatty() if show is None else not show
    return tqdm(items, total=total, leave=False, disable=hidden)  # type: ignore[no-any-return]
