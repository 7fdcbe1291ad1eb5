"""The files with a run's predictions: one row for each example, and what the rows are.

A run's folder has a folder `predictions/`. In it, `<name>.jsonl` has the rows, and `<name>.json` describes them.
`validation` is the name of what the last weights of a fine-tuning predict for its validation examples.

`masked_words` is the name of what the last weights of a pretraining predict for masked words. Its rows are described in
`tasks/masked_words.py`.

Each line of `<name>.jsonl` is a JSON object. The inputs of a task are not stored. Its keys are:

id          identifies the example; it does not depend on the order of the examples, the seed, the arm or the tokenizer
gold        the right answer
prediction  the predicted answer
scores      the scores of the prediction, if there are any
cluster     the group of the example, if examples come in groups; questions about one paragraph have one cluster

`TaskType.prediction_row` says what the values are for a task, and may add keys. Numbers have nine significant digits,
which distinguish any two float32 numbers. A number that is NaN or infinite is null.

`<name>.json` is a JSON object. Its keys are:

format       1, the version of this format
split        the split, such as validation
task         the name of the task, such as sst2
checkpoint   the file of the weights, such as step-120.ckpt or best.ckpt
metrics      the official metrics by name, as in summary.json; null for NaN
examples     the number of rows
fingerprint  16 hexadecimal digits of all ids and right answers; files with equal fingerprints have the same examples
rows_sha256  the SHA-256 of `<name>.jsonl`

A writer may add keys, such as the labels of the task.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_lightning.errors import UserError
from bert_lightning.runs.atomic_writes import replace_atomically
from bert_lightning.runs.run_files import read_json, unreadable_message

FORMAT = 1
MASKED_WORDS = "masked_words"
BITS_PER_BYTE = "words/bits_per_byte"  # the name of the measure of masked words
UNIGRAM = "words/unigram_bits_per_byte"  # the same measure of a unigram model
PERPLEXITY = "words/perplexity"  # of a word, not of a token
# Types of the values that every description has.
_DESCRIBED: dict[str, tuple[type, ...]] = {
    "split": (str,),
    "task": (str,),
    "checkpoint": (str,),
    "metrics": (dict,),
    "examples": (int,),
    "fingerprint": (str,),
    "rows_sha256": (str,),
}


@dataclass(frozen=True)
class Predictions:
    """The rows of one file of predictions, and the description beside it."""

    path: Path
    about: dict[str, Any]
    rows: list[dict[str, Any]]


def write_predictions(
    folder: Path, name: str, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any], gold: str = "gold"
) -> Path:
    """Write `<name>.jsonl` and `<name>.json` into a folder of predictions, and return the path of the rows.

    Each file is complete or absent. A description whose rows were not replaced yet does not have their hash.

    Args:
        folder: the folder `predictions` of a run. It is created if it does not exist.
        name: the name of the files.
        rows: the rows, in the order of the file. Their ids are unique.
        about: the description, without the keys that are computed here.
        gold: the key of the right answer in the rows.
    """
    if folder.is_symlink():
        raise OSError(None, "it is a link to another folder")  # a stranger's folder does not choose where we write
    folder.mkdir(exist_ok=True)
    lines = "".join(json.dumps(_plain(row), ensure_ascii=False, default=str) + "\n" for row in rows)
    described = {
        "format": FORMAT,
        **_plain(about),
        "examples": len(rows),
        "fingerprint": fingerprint(rows, gold),
        "rows_sha256": _sha256(_utf8(lines)),
    }
    path = folder / f"{name}.jsonl"
    for target, text in ((path, lines), (path.with_suffix(".json"), json.dumps(described, indent=1) + "\n")):
        with replace_atomically(target, target.with_name(f".{target.name}.{os.getpid()}.partial"), binary=True) as file:
            file.write(_utf8(text))
    return path


def read_predictions(path: Path) -> Predictions:
    """Return the predictions in a file `<name>.jsonl`. The file beside it describes them.

    Raises:
        UserError: if a file is missing or damaged, or the two are not of one measurement.
    """
    about_path = path.with_suffix(".json")
    about = read_json(about_path)
    if about.get("format") != FORMAT:
        other = f"{about.get('format')!r:.40}"
        raise UserError(f"{about_path}: format={other}, and this version reads {FORMAT}: update bert-lightning")
    for key, types in _DESCRIBED.items():
        if not isinstance(about.get(key), types):
            raise _damaged(about_path, f"{key} is {about.get(key)!r:.40}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(unreadable_message(path, error)) from None
    if _sha256(content) != about["rows_sha256"]:
        raise _damaged(path, f"it is not the file that {about_path.name} describes")
    return Predictions(path, about, _rows(path, content, about["examples"]))


def fingerprint(rows: Sequence[Mapping[str, Any]], gold: str = "gold") -> str:
    """Return 16 hexadecimal digits that change with any id or right answer, but not with the order of the rows."""
    pairs = sorted(json.dumps([row["id"], _plain(row.get(gold))], default=str) for row in rows)
    return _sha256("\n".join(pairs).encode())[:16]


def _rows(path: Path, content: bytes, count: int) -> list[dict[str, Any]]:
    rows = []
    try:
        for number, line in enumerate(content.decode().split("\n")[:-1], 1):
            row = json.loads(line)
            if not isinstance(row, dict) or not isinstance(row.get("id"), str):
                raise _damaged(path, f"line {number} has no id")
            rows.append(row)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())[:160]
        raise _damaged(path, reason) from None
    if len(rows) != count or len({row["id"] for row in rows}) != count:
        raise _damaged(path, f"it has not {count} rows, each with an id of its own")
    return rows


def _plain(value: Any) -> Any:
    """Return a copy of plain data with floats of nine significant digits, and None for NaN and infinity."""
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


def _utf8(text: str) -> bytes:
    """Return a JSON text in UTF-8. A lone surrogate, which UTF-8 cannot hold, becomes the JSON escape of it."""
    return text.encode(errors="backslashreplace")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is damaged ({reason}): measure the run again with bert-lightning evaluate")
