"""Extractive question answering: the answer is a span of a context. Devlin et al. 2019, sections 4.2 and 4.3."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from bert_lightning.data.labelled import remarks
from bert_lightning.data.labelled.encoding import TokenSequence, encode_windows, truncate_texts
from bert_lightning.data.labelled.squad import is_squad, read_squad
from bert_lightning.data.labelled.task_types import Example, Prediction, TaskType, Unit, content_hash
from bert_lightning.errors import UserError
from bert_lightning.ranges import Length, Range
from bert_lightning.text.files.json_text import described
from bert_lightning.text.files.rows import Row


class Span(NamedTuple):
    """A candidate answer: the characters `start` to `end` - 1 of the context."""

    score: float  # sum of the scores of the span's first and last token
    start: int
    end: int


@dataclass(frozen=True)
class Questions(TaskType):
    """Extractive question answering: a question, and a context that contains the answer.

    The columns are `question`, `context` and `answers`. A context longer than a sequence is cut into windows. An
    example is one unit with all its windows, so that no question is split over batches or ranks. In training, each
    window is a unit.

    `answers` is SQuAD's list of `text` and `answer_start`, the hub's form of this list, a list of texts, or one text. A
    text without a start stands for its first occurrence in the context. Metrics compare the texts only.

    Args:
        overlap: number of tokens that neighbouring windows have in common (`doc_stride` of transformers' run_qa).
        max_question_tokens: maximal number of tokens in a question; longer questions are cut (`max_query_length` of
            google-research/bert).
        max_answer_tokens: maximal number of tokens in a predicted answer.
        unanswerable: whether a question may have no answer (SQuAD 2.0).
        null_threshold: "no answer" is predicted if its score exceeds that of the best answer by more than this.
        candidates: number of spans whose scores are turned into probabilities (`n_best_size`).

    Raises:
        UserError: if a number of tokens or spans is too small.
    """

    overlap: Annotated[int, Range(least=0, most=2**20)] = 128
    max_question_tokens: Length = 64
    max_answer_tokens: Length = 30
    unanswerable: bool = False
    null_threshold: float = 0.0
    candidates: Annotated[int, Range(least=1, most=10_000)] = 20

    parts: ClassVar[tuple[str, ...]] = ("question", "context")

    def __post_init__(self) -> None:
        super().__post_init__()
        least = {"overlap": 0, "max_question_tokens": 1, "max_answer_tokens": 1, "candidates": 1}
        for name, smallest in least.items():
            if (value := getattr(self, name)) < smallest:
                raise UserError(f"task.type.{name}={value} must be {smallest} or more")

    def answers(self, rows: Sequence[Row]) -> list[list[dict[str, Any]]]:
        found, wrong = [], []
        for row in rows:
            try:
                found.append(self._answers(row))
            except UserError as error:
                wrong.append(error)
        if wrong:
            more = f" (and so for {len(wrong) - 1} more of {len(rows)} questions)" if len(wrong) > 1 else ""
            raise UserError(f"{wrong[0]}{more}")
        return found

    def _answers(self, row: Row) -> list[dict[str, Any]]:
        context, impossible = self._text(row, "context"), self._is_impossible(row)
        given = [] if impossible else _listed(self._value(row, "answers"), row.where)
        if not given and not self.unanswerable:
            raise UserError(f"{row.where}: no answer; for questions without one set task.type.unanswerable=true")
        if not given and impossible is False:
            raise UserError(f"{row.where}: is_impossible is false and there is no answer: give it, or set it true")
        return [_placed(answer, context, row.where) for answer in given]

    def _is_impossible(self, row: Row) -> bool | None:
        """Return the value of SQuAD 2.0's `is_impossible` in a row; None if the row has no such column."""
        value = row.values.get(self._column("is_impossible"))
        if value is None or value == "":
            return None
        if (word := str(value).strip().lower()) not in _TRUTH:
            raise UserError(f"{row.where}: is_impossible must be true or false, not {described(value)}")
        return _TRUTH[word]

    def remarks(self, rows: Sequence[Row]) -> Iterator[str]:
        yield from super().remarks(rows)
        answers = self._column("answers")
        impossible = [row for row in rows if self._is_impossible(row)]
        if odd := [row for row in impossible if _listed(row.values.get(answers) or [], row.where)]:
            yield f"{remarks.counted(odd)}: is_impossible is true beside answers, which are left out"

    def key(self, row: Row) -> str:
        return self._text(row, "context")

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer, max_length: int) -> list[Unit]:
        if max_length - self.max_question_tokens - 3 <= self.overlap:
            raise UserError(
                f"task.max_length={max_length} leaves no room for a context beside task.type.max_question_tokens="
                f"{self.max_question_tokens} and task.type.overlap={self.overlap}: raise it or lower them"
            )
        questions = truncate_texts(
            [example.inputs["question"] for example in examples], tokenizer, self.max_question_tokens
        )
        contexts = [example.inputs["context"] for example in examples]
        windows = encode_windows(questions, contexts, tokenizer, max_length, self.overlap)
        return [Unit(example, of_example) for example, of_example in zip(examples, windows, strict=True)]

    def training_units(self, units: Sequence[Unit]) -> list[Unit]:
        return [Unit(example, [window]) for example, windows in units for window in windows]

    def targets(self, units: Sequence[Unit], labels: Sequence[str]) -> Tensor:
        """Return the indices of the first and last token of the first answer in each of N windows, [N, 2].

        Both are 0, the position of [CLS], if the answer is not entirely in the window.
        """
        return torch.tensor([_target(example.answer, window) for example, windows in units for window in windows])

    def decode(self, scores: Tensor, units: Sequence[Unit], labels: Sequence[str]) -> list[Prediction]:
        """Return a prediction for each unit, from the `scores` [N, S, 2] of all windows of the units."""
        rows = iter(scores.float().numpy(force=True))
        return [self._decide(example, [(window, next(rows)) for window in windows]) for example, windows in units]

    def _decide(self, example: Example, windows: Sequence[tuple[TokenSequence, npt.NDArray[np.float32]]]) -> Prediction:
        null = min(float(scores[0].sum()) for _, scores in windows)
        spans = sorted((s for tokens, scores in windows for s in self._spans(tokens, scores)), reverse=True)
        context, best = example.inputs["context"], self._distinct(spans)
        top = np.array([span.score for span in best], np.float64)
        probabilities = np.exp(top - np.logaddexp.reduce(top)).tolist() if best else []
        odds = null - best[0].score if best else sys.float_info.max  # JSON has no infinity
        candidates = [
            {"text": context[start:end], "start": start, "end": end, "score": p}
            for (_, start, end), p in zip(best, probabilities, strict=True)
        ]
        nothing = {"text": "", "start": -1, "end": -1, "score": 0.0}
        first = candidates[0] if candidates else nothing
        chosen = nothing if self.unanswerable and odds > self.null_threshold else first
        return {
            "answer": chosen["text"], "start": chosen["start"], "end": chosen["end"], "score": chosen["score"],
            "best_answer": first["text"], "null_odds": odds, "candidates": candidates[:3],
        }  # fmt: skip

    def prediction_row(self, example: Example, prediction: Prediction) -> dict[str, Any]:
        """Return the texts of the true answers and of the predicted answer, and the paragraph as the cluster.

        The characters `start` to `end` - 1 of the context are the prediction. `scores` has its probability among the
        best spans, in `span`. If questions may have no answer, `no_answer` is the score of "no answer" minus that of
        the best span, whose text is `best_answer`.
        """
        scores, best = {"span": prediction["score"]}, {}
        if self.unanswerable:
            scores["no_answer"], best = prediction["null_odds"], {"best_answer": prediction["best_answer"]}
        return {
            "gold": list(dict.fromkeys(answer["text"] for answer in example.answer)),
            "prediction": prediction["answer"], "start": prediction["start"], "end": prediction["end"],
            **best, "scores": scores, "cluster": content_hash(example.inputs["context"]),
        }  # fmt: skip

    def _spans(self, tokens: TokenSequence, scores: npt.NDArray[np.float32]) -> Iterator[Span]:
        """Yield the best spans of a window that lie in the context and are not too long."""
        inside = np.flatnonzero(tokens.offsets[:, 0] >= 0)
        if not len(inside):
            return
        longest = self.max_answer_tokens
        ends = np.pad(scores[inside, 1], (0, longest - 1), constant_values=-np.inf)
        # The score of each span, indexed by [start, length - 1].
        sums = scores[inside, 0][:, None] + np.lib.stride_tricks.sliding_window_view(ends, longest)
        flat = sums.ravel()
        best = np.argpartition(flat, -min(self.candidates, flat.size))[-self.candidates :]
        for at in best[np.isfinite(flat[best])]:
            start, length = divmod(int(at), longest)
            first, last = inside[start], inside[start + length]
            yield Span(float(flat[at]), int(tokens.offsets[first, 0]), int(tokens.offsets[last, 1]))

    def _distinct(self, spans: Sequence[Span]) -> list[Span]:
        """Return the best spans. A span that two windows contain is returned once."""
        found: dict[tuple[int, int], Span] = {}
        for span in spans:
            found.setdefault((span.start, span.end), span)
            if len(found) == self.candidates:
                break
        return list(found.values())

    def rows_of(self, path: Path) -> Iterator[Row] | None:
        return read_squad(path) if is_squad(path) else super().rows_of(path)

    def show(self, example: Example, prediction: Prediction) -> str:
        if not prediction["answer"]:
            return f"(no answer)\t{example.inputs['question']}"
        place = f"{prediction['start']}-{prediction['end']}"
        return f"{prediction['answer']}\t{place}\t{prediction['score']:.3f}\t{example.inputs['question']}"


_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def _listed(given: Any, where: str) -> list[Any]:
    """Return the answers of a row as a list. They may have any of the forms that `Questions` accepts."""
    if isinstance(given, dict):
        texts, starts = given.get("text"), given.get("answer_start")
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            shape = "text and answer_start, two lists of one length"
            raise UserError(f"{where}: an object of answers must hold {shape}, not {str(given)[:60]}")
        return [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    if isinstance(given, list):
        return given
    return [] if given == "" else [given]


def _placed(given: Any, context: str, where: str) -> dict[str, Any]:
    """Return one answer as its text and its start in the context, in characters.

    Raises:
        UserError: if the context does not have the answer at this start.
    """
    text, start = (given.get("text"), given.get("answer_start")) if isinstance(given, dict) else (given, None)
    if text is None or text == "":
        raise UserError(f"{where}: the answer {given!r} has no text: fix it or leave it out")
    text = str(text)
    start = context.find(text) if start is None else start
    if isinstance(start, bool) or not (isinstance(start, int) or (isinstance(start, float) and start.is_integer())):
        raise UserError(f"{where}: answer_start={start!r} of {text!r} must be a whole number: fix it or leave it out")
    start = int(start)
    if start < 0 or context[start : start + len(text)] != text:
        raise UserError(f"{where}: the answer {text!r} is not in its context at character {start}: fix it")
    return {"text": text, "answer_start": start}


def _target(answers: Sequence[dict[str, Any]], window: TokenSequence) -> tuple[int, int]:
    """Return the indices of the first answer's first and last token in a window; 0, 0 if it is not entirely inside."""
    if not answers:
        return 0, 0
    start, end = answers[0]["answer_start"], answers[0]["answer_start"] + len(answers[0]["text"])
    starts, ends = window.offsets[:, 0], window.offsets[:, 1]
    inside = np.flatnonzero(starts >= 0)
    if not len(inside) or starts[inside[0]] > start or ends[inside[-1]] < end:
        return 0, 0
    first = inside[np.searchsorted(starts[inside], start, side="right") - 1]
    last = inside[np.searchsorted(ends[inside], end, side="left")]
    return int(first), int(max(first, last))
