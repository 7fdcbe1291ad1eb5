"""Minimal pairs: two sentences that differ in one respect, of which only one is right.

An encoder with a masked-word head is measured without training: it should find the right sentence more likely. See
`tasks/pseudo_likelihood.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from bert_lightning.data.labelled.encoding import encode
from bert_lightning.data.labelled.task_types import Example, Prediction, TaskType, Unit
from bert_lightning.data.randomness import RandomStream, random_bits, random_permutation
from bert_lightning.errors import UserError
from bert_lightning.ranges import Count
from bert_lightning.text.files.lines import inner_suffix, read_lines
from bert_lightning.text.files.rows import Row
from bert_lightning.text.sentences import clean

GOOD, BAD, TIE = "good", "bad", "tie"
_ALL = "all"  # the paradigm of pairs without one


@dataclass(frozen=True)
class MinimalPairs(TaskType):
    """Minimal pairs: a good and a bad sentence.

    The columns are `good`, `bad`, and if there are such columns `paradigm` (pairs made by one rule) and `phenomenon`
    (paradigms that test the same thing).

    Args:
        mask_rest_of_word: whether the tokens of a word to the right of the predicted token are masked too
            (PLL-word-l2r, Kauf and Ivanova 2023). If not, only the predicted token is (Salazar et al. 2020).
        pairs_per_paradigm: number of random pairs of each paradigm, the same for every encoder; None: all.
    """

    mask_rest_of_word: bool = True
    pairs_per_paradigm: Count | None = None

    parts: ClassVar[tuple[str, ...]] = (GOOD, BAD)

    def examples(self, rows: Sequence[Row], answered: bool = True, first: int = 0) -> list[Example]:
        """Return the examples of rows. The ids of a data set are unique only within a paradigm, which is put before."""
        found = super().examples(rows, answered, first)
        named = [replace(example, id=f"{example.inputs['paradigm']}/{example.id}") for example in found]
        return named if self.pairs_per_paradigm is None else list(_sample(named, self.pairs_per_paradigm))

    def inputs(self, row: Row) -> dict[str, Any]:
        texts = {part: clean(self._text(row, part)).strip() for part in self.parts}
        if empty := [self._column(part) for part, text in texts.items() if not text]:
            raise UserError(f"{row.where}: column {empty[0]!r} is empty: give a sentence, or leave the pair out")
        paradigm = str(row.values.get(self._column("paradigm")) or _ALL)
        phenomenon = str(row.values.get(self._column("phenomenon")) or paradigm)
        return {**texts, "paradigm": paradigm, "phenomenon": phenomenon}

    def answers(self, rows: Sequence[Row]) -> list[str]:
        return [GOOD] * len(rows)

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer, max_length: int) -> list[Unit]:
        """Return the two sequences of each pair. Their `first` is the first token of each word."""
        good, bad = (
            encode([example.inputs[part] for example in examples], tokenizer, max_length, with_word_starts=True)
            for part in self.parts
        )
        return [Unit(example, [a, b]) for example, a, b in zip(examples, good, bad, strict=True)]

    def targets(self, units: Sequence[Unit], labels: Sequence[str]) -> Tensor:
        return torch.zeros(len(units), dtype=torch.long)  # the index of the good sentence

    def decode(self, scores: Tensor, units: Sequence[Unit], labels: Sequence[str]) -> list[Prediction]:
        """Return the likelier sentence of each pair, from the log-likelihoods [n, 2]. They are compared in float32."""
        return [
            {"answer": GOOD if good > bad else BAD if bad > good else TIE, "scores": {GOOD: good, BAD: bad}}
            for good, bad in scores.float().tolist()
        ]

    def prediction_row(self, example: Example, prediction: Prediction) -> dict[str, Any]:
        """Return what a run keeps of a pair. `correct` is 1, 0, or 0.5 for a tie. The cluster is the paradigm."""
        return {
            "gold": example.answer, "prediction": prediction["answer"], "scores": prediction["scores"],
            "correct": credit(prediction), "cluster": example.inputs["paradigm"],
            "phenomenon": example.inputs["phenomenon"],
        }  # fmt: skip

    def measured_name(self, task: str) -> str:
        some = "" if self.pairs_per_paradigm is None else f"_{self.pairs_per_paradigm}"
        return f"{task}{'' if self.mask_rest_of_word else '_plain'}{some}"

    def breakdown(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, Any]:
        """Return the accuracy overall, by phenomenon and by paradigm.

        The intervals of 95 % overall and of a phenomenon are about further paradigms of the same kind. A phenomenon of
        one paradigm has none.
        """
        correct = np.array([credit(prediction) for prediction in predictions])
        paradigms, phenomena = (np.array([e.inputs[name] for e in examples]) for name in ("paradigm", "phenomenon"))
        return {
            "overall": _accuracy(correct, paradigms),
            "phenomena": {
                str(name): _accuracy(correct[phenomena == name], paradigms[phenomena == name])
                for name in np.unique(phenomena)
            },
            "paradigms": {
                str(name): round(float(correct[paradigms == name].mean()), 4) for name in np.unique(paradigms)
            },
        }

    def show(self, example: Example, prediction: Prediction) -> str:
        return f"{prediction['answer']}\t{example.inputs[GOOD]}\t{example.inputs[BAD]}"


def credit(prediction: Prediction) -> float:
    """Return 1 for a right prediction, 0 for a wrong one, and one half for a tie."""
    return {GOOD: 1.0, TIE: 0.5, BAD: 0.0}[prediction["answer"]]


def read_alternating_lines(path: Path) -> Iterator[Row]:
    """Yield the pairs of a text file whose odd lines are bad and whose even lines are good, as in Zorro.

    The name of the file is the paradigm. The phenomenon is what stands before its last hyphen.

    Raises:
        UserError: if the last pair has no good sentence.
    """
    paradigm = path.name[: -len(inner_suffix(path))] if inner_suffix(path) else path.name
    lines = [line.strip() for line in read_lines(path) if line.strip()]
    if len(lines) % 2:
        raise UserError(f"{path} has {len(lines)} lines: a pair is a bad line and a good line, so give an even number")
    for number in range(0, len(lines), 2):
        values = {"id": str(number // 2), BAD: lines[number], GOOD: lines[number + 1]}
        named = {"paradigm": paradigm, "phenomenon": paradigm.rpartition("-")[0] or paradigm}
        yield Row(f"{path}:{number + 1}", {**values, **named})


def _sample(examples: Sequence[Example], count: int) -> Iterator[Example]:
    """Yield `count` random examples of each paradigm, the same in each call; all if there are fewer."""
    paradigms: dict[str, list[Example]] = {}
    for example in examples:
        paradigms.setdefault(example.inputs["paradigm"], []).append(example)
    for found in paradigms.values():
        chosen = np.arange(min(count, len(found)))
        yield from (found[i] for i in random_permutation(chosen, len(found), random_bits(0, RandomStream.SUBSET)))


def _accuracy(correct: npt.NDArray[np.float64], clusters: npt.NDArray[np.str_]) -> dict[str, Any]:
    """Return the mean, and its interval of 95 % by Student's t over clusters, with the numbers of pairs and clusters.

    The standard error is that of a ratio: clusters may have different sizes.
    """
    from scipy.special import stdtrit  # imported here, since training does not need it

    mean, names = float(correct.mean()), np.unique(clusters)
    counts: dict[str, Any] = {"pairs": len(correct), "paradigms": len(names)}
    if len(names) < 2:
        return {"accuracy": round(mean, 4), "low": None, "high": None, **counts}
    sums = np.array([(correct[clusters == name] - mean).sum() for name in names])
    error = math.sqrt(len(names) / (len(names) - 1) * (sums**2).sum()) / len(correct)
    half = float(stdtrit(len(names) - 1, 0.975)) * error
    low, high = max(0.0, mean - half), min(1.0, mean + half)
    return {"accuracy": round(mean, 4), "low": round(low, 4), "high": round(high, 4), **counts}
