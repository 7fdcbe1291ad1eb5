"""`bert-lightning predict`: fill in masked tokens with a pretrained run, or answer the task of a fine-tuned run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from bert_lightning.data.labelled.task_types import Example
from bert_lightning.errors import UserError
from bert_lightning.inference.loaded_model import LoadedModel, load
from bert_lightning.inference.mask_filling import MaskedText
from bert_lightning.runs.run_folder import newest_finished_run
from bert_lightning.tasks.input_lines import STANDARD_INPUT, Lines, lines_of, valid
from bert_lightning.tasks.output import json_lines, note_cut, note_written, progress
from bert_lightning.text.files.rows import Row


class MaskLines:
    """A predictor of masked tokens: it reads lines of text, and finds the likeliest words for each [MASK] of a line."""

    def __init__(self, model: LoadedModel, top_k: int) -> None:
        self.fill, self.top_k = model.mask_filler, top_k
        self.fill.check_top_k(top_k)

    def read(self, text: str, number: int) -> MaskedText:
        """Return a line with its tokens. `number` is not used: lines have no ids.

        Raises:
            UserError: if the line has no [MASK], or has one beyond the maximal length.
        """
        (found,) = self.fill.read([text])
        return found

    def answer(self, asked: Sequence[MaskedText]) -> list[dict[str, Any]]:
        """Return the likeliest words for each [MASK] of each line, and the text to show."""
        return [{**filled, "shown": _shown(**filled)} for filled in self.fill(asked, self.top_k)]

    def empty_record(self, number: int) -> dict[str, Any]:
        """Return the output record of a line that has no answer."""
        return {"text": None, "masks": []}


class AnswerLines:
    """A predictor of answers: it answers lines of text, or rows of a table, for the task of a checkpoint."""

    def __init__(self, model: LoadedModel) -> None:
        self.answers = model.answerer
        self.task_type, self.count = self.answers.task_type, 0

    def read(self, text: str, number: int) -> Example:
        """Return the example on a line. `number` is the line's, from 1.

        Raises:
            UserError: if the line lacks a part of the example.
        """
        (example,) = self.examples([Row(f"{text[:40]!r}", self.task_type.parse(text))], number - 1)
        return example

    def examples(self, rows: Sequence[Row], first: int = 0) -> list[Example]:
        """Return the examples of rows, which have the columns of the task. Their answers are not read."""
        return self.task_type.examples(rows, answered=False, first=first)

    def answer(self, asked: Sequence[Example]) -> list[dict[str, Any]]:
        """Return a prediction for each example."""
        self.count += len(asked)
        return [
            {"id": example.id, **example.inputs, **prediction, "shown": self.task_type.show(example, prediction)}
            for example, prediction in self.answers(asked, max(1, len(asked)))
        ]

    def empty_record(self, number: int) -> dict[str, Any]:
        """Return the output record of a line that has no answer."""
        return {"id": str(number - 1), "answer": None}


def predictor(model: LoadedModel, top_k: int = 5) -> MaskLines | AnswerLines:
    """Return the predictor of a checkpoint. It answers the checkpoint's task, or else it fills in masked tokens.

    Raises:
        UserError: if the checkpoint has neither a task nor a masked language model head.
    """
    served = model.methods()
    if "predict" in served:
        return AnswerLines(model)
    if "fill_mask" in served:
        return MaskLines(model, top_k)
    raise UserError(f"{model.path} has neither a task nor a masked language model head: fine-tune it for a task first")


def run(config: DictConfig) -> None:
    """Predict for every text, and print each prediction at once. Exit with code 2 if a line cannot be answered."""
    location = config.run
    if location == "newest":
        location = str(newest_finished_run(Path(config.runs), ("pretrain", "finetune")))
        print(f"# {location}", file=sys.stderr)
    if config.texts is not None and config.file is not None:
        raise UserError("texts and file=... are both given: give only one of them")
    lines = lines_of(config.file) if config.texts is None else None
    predict = predictor(load(location), config.top_k)
    wrong: list[int] = []
    with json_lines(config.output, config.file) as write:
        for prediction in _predictions(config, predict, lines, wrong):
            print(prediction.pop("shown"), flush=True)
            write(prediction)
    if isinstance(predict, AnswerLines):
        note_cut(predict.answers.num_cut, predict.count, "texts", predict.answers.max_length)
    note_written(config.output)
    if wrong:  # each error is printed already
        sys.exit(2)


def _predictions(
    config: DictConfig, predict: MaskLines | AnswerLines, lines: Lines | None, wrong: list[int]
) -> Iterator[dict[str, Any]]:
    if lines is None:
        yield from _predict_texts(list(config.texts), predict, config.batch_size)
        return
    path = None if config.file in (None, STANDARD_INPUT) else Path(config.file)
    table = predict.task_type.rows_of(path) if path is not None and isinstance(predict, AnswerLines) else None
    if table is not None and isinstance(predict, AnswerLines):
        yield from _predict_in_batches(predict.examples(list(table)), predict, config.batch_size, lines.source)
    else:
        yield from _predict_lines(lines, predict, config.batch_size, wrong)


def _predict_texts(texts: Sequence[str], predict: MaskLines | AnswerLines, size: int) -> Iterator[dict[str, Any]]:
    """Yield the predictions for texts from the command line.

    Raises:
        UserError: if any text cannot be answered. It is raised before the first prediction.
    """
    for number, text in enumerate(texts, 1):
        if not text.strip():
            raise UserError(f"text {number} of {len(texts)} is empty: give a text, or leave it out")
    asked = [predict.read(valid(text), number) for number, text in enumerate(texts, 1)]
    yield from _predict_in_batches(asked, predict, size, "texts")


def _predict_in_batches(
    asked: Sequence[Any], predict: MaskLines | AnswerLines, size: int, source: str
) -> Iterator[dict[str, Any]]:
    if not asked:
        raise UserError(f"{source} is empty: there is nothing to answer")
    for start in progress(range(0, len(asked), size), -(-len(asked) // size)):
        yield from predict.answer(asked[start : start + size])


def _predict_lines(
    lines: Lines, predict: MaskLines | AnswerLines, size: int, wrong: list[int]
) -> Iterator[dict[str, Any]]:
    """Yield one record per line, in order.

    The record of an empty line, or of one that cannot be answered, has no answer. The number of each line that cannot
    be answered is appended to `wrong`.
    """
    numbered = enumerate(lines.lines, 1)
    number = 0
    while batch := list(islice(numbered, 1 if lines.typed else size)):
        asked: list[Any] = []
        records: dict[int, dict[str, Any]] = {}
        for number, line in batch:
            if not line.strip():
                records[number] = {**predict.empty_record(number), "shown": ""}
                continue
            try:
                asked.append(predict.read(valid(line), number))
            except UserError as error:
                wrong.append(number)
                print(f"bert-lightning: error: line {number}: {error}", file=sys.stderr, flush=True)
                records[number] = {**predict.empty_record(number), "error": str(error), "shown": "(not answered)"}
        answers = iter(predict.answer(asked) if asked else ())
        for number, _ in batch:
            yield records[number] if number in records else next(answers)
    if not number:
        raise UserError(f"{lines.source} is empty: there is nothing to answer")


def _shown(text: str, masks: list[list[dict[str, Any]]]) -> str:
    guesses = [", ".join(f"{guess['word']} {guess['probability']:.2f}" for guess in mask) for mask in masks]
    return "\n  ".join([text, *guesses])
