"""Exact match and F1 of answers, by the rules of the official scripts for SQuAD 1.1 and 2.0."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from bert_lightning.data.labelled.task_types import Example, Prediction
from bert_lightning.metrics.task_metrics import TaskMetric

_WITH_UNANSWERABLE = (
    "has_answer_exact", "has_answer_f1", "no_answer_exact", "no_answer_f1",
    "best_exact", "best_f1", "best_f1_threshold",
)  # fmt: skip
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


class Squad(TaskMetric):
    """Mean exact match and F1 over the questions, in %. If a question has several true answers, the best match counts.

    Args:
        labels: not used.
        unanswerable: whether the rules of SQuAD 2.0 apply. If so, the metric also returns values for the questions with
            and without an answer, and the best values over all thresholds for "no answer".
    """

    rows: list[Tensor]  # each [n, 6] float64, see `_row`

    def __init__(self, labels: Sequence[str] = (), unanswerable: bool = False) -> None:
        super().__init__(labels)
        self.unanswerable = unanswerable
        self.values = ("exact", "f1", *(_WITH_UNANSWERABLE if unanswerable else ()))
        self.add_rows("rows", 6)

    def update(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> None:
        rows = [self._row(p, [a["text"] for a in e.answer]) for p, e in zip(predictions, examples, strict=True)]
        self.rows.append(torch.tensor(rows, dtype=torch.double, device=self.device).view(-1, 6))

    def _row(self, prediction: Prediction, right: list[str]) -> list[float]:
        """Return six numbers for a question.

        The first two are exact match and F1 of the answer. The next two are those of the best span, even if the answer
        is "no answer". The others are the odds of "no answer", and 1 if the question has a true answer, else 0.
        """
        exact, f1, has_answer = question_scores(prediction["answer"], right, self.unanswerable)
        if not self.unanswerable:
            return [exact, f1, 0, 0, 0, 1]
        best = prediction["best_answer"]
        given = question_scores(best, right, True)[:2] if has_answer else (float(not best),) * 2
        return [exact, f1, *given, prediction["null_odds"], has_answer]

    def compute(self) -> dict[str, Tensor]:
        # Sort the rows, so that the rounding of sums does not depend on ranks and batches.
        rows = torch.tensor(sorted(dim_zero_cat(self.rows).tolist()), dtype=torch.double).view(-1, 6)
        results = {"exact": _percent(rows[:, 0]), "f1": _percent(rows[:, 1])}
        if self.unanswerable:
            for name, side in (("has_answer", rows[rows[:, 5] == 1]), ("no_answer", rows[rows[:, 5] == 0])):
                results |= {f"{name}_exact": _percent(side[:, 0]), f"{name}_f1": _percent(side[:, 1])}
            results["best_exact"], _ = _best_threshold(rows[:, 2], rows[:, 4], rows[:, 5])
            results["best_f1"], results["best_f1_threshold"] = _best_threshold(rows[:, 3], rows[:, 4], rows[:, 5])
        return {name: value.to(self.device) for name, value in results.items()}


def question_scores(answer: str, right: Sequence[str], unanswerable: bool) -> tuple[float, float, float]:
    """Return the exact match and the F1 of the answer to a question, and 1 if the question has an answer, else 0.

    Args:
        answer: the predicted answer; empty for "no answer".
        right: the true answers.
        unanswerable: whether the rules of SQuAD 2.0 apply.
    """
    if not unanswerable:
        return _best(exact_match, answer, right), _best(word_f1, answer, right), 1.0
    right = [text for text in right if normalize_answer(text)] or [""]
    return _best(exact_match, answer, right), _best(_f1_or_nothing, answer, right), float(list(right) != [""])


def normalize_answer(text: str) -> str:
    """Return a text in lower case, without punctuation, articles and double spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, right: str) -> float:
    """Return 1 if the normalized answers are equal, else 0."""
    return float(normalize_answer(answer) == normalize_answer(right))


def word_f1(answer: str, right: str) -> float:
    """Return the F1 (harmonic mean of precision and recall) of the normalized words; 0 if no word is in both."""
    found, wanted = normalize_answer(answer).split(), normalize_answer(right).split()
    shared = sum((Counter(found) & Counter(wanted)).values())
    return 2 * shared / (len(found) + len(wanted)) if shared else 0.0


def _f1_or_nothing(answer: str, right: str) -> float:
    """Return the F1 by the rules of SQuAD 2.0: an empty answer matches only an empty answer."""
    if not normalize_answer(answer) or not normalize_answer(right):
        return exact_match(answer, right)
    return word_f1(answer, right)


def _best(score: Callable[[str, str], float], answer: str, right: Sequence[str]) -> float:
    """Return the highest score of an answer against any of the true answers."""
    return max(score(answer, text) for text in right)


def _percent(scores: Tensor) -> Tensor:
    return 100 * scores.mean() if len(scores) else torch.zeros((), dtype=torch.double)


def _best_threshold(scores: Tensor, odds: Tensor, has_answer: Tensor) -> tuple[Tensor, Tensor]:
    """Return the best mean score, in %, and its threshold: the highest odds of "no answer" with which a span is given.

    The search begins with "no answer" for all questions and a threshold of 0. It then predicts the spans in ascending
    order of the odds. Questions with equal odds change together. The official script changes them one by one, in the
    order of its file.
    """
    order = odds.argsort(stable=True)
    # Predicting a span costs the point of a question without an answer, and gains the span's score for one with.
    gains = (scores - (has_answer == 0).double())[order]
    totals = (has_answer == 0).sum() + gains.cumsum(0)
    last_of_its_odds = torch.cat([odds[order].diff() != 0, torch.tensor([True])])[: len(odds)]
    totals = torch.cat([(has_answer == 0).sum()[None].double(), totals[last_of_its_odds]])
    thresholds = torch.cat([torch.zeros(1, dtype=torch.double), odds[order][last_of_its_odds]])
    best = totals.argmax()
    return 100 * totals[best] / max(1, len(odds)), thresholds[best]
