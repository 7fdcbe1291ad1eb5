"""Read the texts to embed, and their labels, from a file with a text in each line, or from a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bert_lightning.data.labelled.sources import subset
from bert_lightning.errors import UserError
from bert_lightning.tasks.input_lines import existing, valid
from bert_lightning.text.files.lines import read_lines
from bert_lightning.text.files.rows import Row, is_table, read_rows


@dataclass(frozen=True)
class LabelledTexts:
    """Texts, their labels if there are any, and the number of texts that they were drawn from."""

    texts: list[str]
    labels: list[str] | None
    of: int


def labelled_texts(file: str, text: str, label: str | None, most: int) -> LabelledTexts:
    """Return the texts of a file. Empty ones are left out. If there are more than `most`, some are drawn at random.

    Args:
        file: the path of the file.
        text: the column of the texts, in a table.
        label: the column of the labels; None: `label`, if there is such a column.
        most: the largest number of texts.

    Raises:
        UserError: if there is no such file or column, or it has no texts.
    """
    path = existing(Path(file).expanduser())
    if is_table(path):
        rows = [row for row in read_rows(path) if row.values.get(text) not in (None, "")]
        if not rows:
            next(iter(read_rows(path)), Row(file, {})).get(text, "text_column")  # says which columns there are
    else:
        if label is not None:
            raise UserError(f"label_column={label}: {file} is no table, so it has no labels: leave it out")
        lines = enumerate(read_lines(path), 1)
        rows = [Row(f"{path}:{number}", {text: valid(line.strip())}) for number, line in lines if line.strip()]
    if not rows:
        raise UserError(f"file={file} has no texts")
    column = label or ("label" if "label" in rows[0].values and text != "label" else None)
    some = rows if len(rows) <= most else subset(rows, most, "max_texts")
    labels = None if column is None else [row.text(column, "label_column") for row in some]
    return LabelledTexts([row.text(text, "text_column") for row in some], labels, len(rows))
