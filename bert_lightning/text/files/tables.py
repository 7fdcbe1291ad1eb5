"""Read CSV and TSV tables strictly. Every error names its line."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bert_lightning.errors import UserError
from bert_lightning.text.files.lines import read_lines

_LONGEST_VALUE = 2**26  # characters; without a limit, an unclosed quote reads the rest of the file into memory


def read_delimited(
    path: Path, tabs: bool, header: Sequence[str] | None = None, leave_out_short: bool = False
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row of a table with the number of its first line. Columns without a name are left out.

    Args:
        path: the file, compressed or not.
        tabs: whether tabs separate the columns. If so, quotes are plain text, as in the files of GLUE. If not, commas
            separate the columns, and a value in quotes may contain commas and line ends.
        header: names of the first columns, for a file without a header line. Further columns are left out.
        leave_out_short: whether rows with too few columns are left out.

    Raises:
        UserError: if a quote is not closed, two columns have one name, or a row does not fit the header.
    """
    names = _checked(header, "task.files.reader.header") if header is not None else None
    for line, values in _split_at_tabs(path) if tabs else _split_at_commas(path):
        if names is None:
            names = _checked(values, f"{path}:{line}")
            continue
        if leave_out_short and len(values) < len(names):
            continue
        if len(values) < len(names) or (header is None and len(values) > len(names)):
            raise UserError(
                f"{path}:{line}: this row has {len(values)} columns, not the {len(names)} of "
                f"{'task.files.reader.header' if header else 'the header'}: fix it"
                + ("" if tabs else ", or put the value with a comma in quotes")
            )
        yield line, {name: value for name, value in zip(names, values, strict=False) if name}


def _checked(names: Sequence[str], place: str) -> Sequence[str]:
    """Return the column names; raise UserError if two are equal, because a row has one value per name."""
    if len(names) == 1 and ";" in names[0]:
        raise UserError(f"{place}: semicolons separate the columns: save the table with commas, or with tabs as .tsv")
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        raise UserError(f"{place}: two columns are named {twice[0]!r}: rename one")
    return names


def _split_at_tabs(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(read_lines(path), 1):
        if line:
            yield number, line.split("\t")


def _split_at_commas(path: Path) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(_LONGEST_VALUE)
    reader = csv.reader((f"{line}\n" for line in read_lines(path)), strict=True)
    while True:
        first = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(f"{path}:{first}: {_problem(str(error), first, reader.line_num)}") from None
        if values:
            yield first, values


def _problem(error: str, first: int, last: int) -> str:
    """Return the reason why the csv module refused a row that it read from line `first` to line `last`."""
    if "new-line character" in error:
        return "a carriage return stands inside this line: save the file with line ends of one kind"
    if last > first or "unexpected end" in error:
        return (
            f"a quote in this row is not closed where the value ends (looked for until line {last}): "
            'close it, or write "" for a quote inside quotes'
        )
    return f'this row is not CSV ({error}): put the whole value in quotes, and write "" for a quote inside'
