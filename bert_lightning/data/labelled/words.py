"""Token classification: words with one label each, such as their part of speech, or the tag of a named entity."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from bert_lightning.data.labelled import remarks
from bert_lightning.data.labelled.conll import CONLLU, FORM, entities, read_columns, to_iob2
from bert_lightning.data.labelled.encoding import encode
from bert_lightning.data.labelled.task_types import Example, Prediction, TaskType, Unit, text_of, unknown_label
from bert_lightning.errors import UserError
from bert_lightning.text.files.json_text import described
from bert_lightning.text.files.lines import inner_suffix
from bert_lightning.text.files.rows import Row

# A word of plain text, nearly as in a treebank: an ideograph, a word with its inner punctuation, or one other sign.
_WORD = re.compile(r"[㐀-鿿豈-﫿]|(?:(?:\w\.){2,}|[^\W㐀-鿿豈-﫿]+(?:[-'\u2019.,:/&@]\w+)*)|\S")
# Endings of files with one word per line. CoNLL-2003 uses the name of the split as the ending.
_COLUMNS = (".conll", ".iob", ".iob2", ".bio", ".bioes", ".bmes", ".testa", ".testb")


@dataclass(frozen=True)
class LabelledWords(TaskType):
    """Base class of tasks with words that have one label each. The columns `words` and `tags` contain lists.

    Args:
        word_column: index of the column with the words, in the column files that `rows_of` reads.
    """

    word_column: int = 0

    parts: ClassVar[tuple[str, ...]] = ("words",)

    def inputs(self, row: Row) -> dict[str, Any]:
        words = self._value(row, "words")
        if not isinstance(words, list):
            found = list(split_words(text := self._text(row, "words")))
            return {"text": text, "words": [w for w, _ in found], "starts": [s for _, s in found]}
        words = [text_of(word, f"{row.where}: word {number}") for number, word in enumerate(words, 1)]
        starts = np.cumsum([0] + [len(word) + 1 for word in words])[:-1].tolist()
        return {"text": " ".join(words), "words": words, "starts": starts}

    def answers(self, rows: Sequence[Row]) -> list[list[str]]:
        tags = []
        for row in rows:
            words, of_row = self._value(row, "words"), self._value(row, "tags")
            if not isinstance(words, list) or not isinstance(of_row, list) or len(words) != len(of_row):
                raise UserError(
                    f"{row.where}: words and tags must be two lists of one length, not {described(words)} and "
                    f"{described(of_row)}: fix the row"
                )
            tags.append([self.names.get(str(tag), str(tag)) for tag in of_row])
        return tags

    @abstractmethod
    def labels(self, examples: Sequence[Example]) -> list[str]:
        """Return the labels that occur, sorted, and those that follow from them."""

    def check(self, examples: Sequence[Example], labels: Sequence[str]) -> None:
        known = set(labels)
        for example in examples:
            for tag in example.answer:
                if tag not in known:
                    raise unknown_label(example, tag, labels)

    def key(self, row: Row) -> str:
        return str(self.inputs(row)["text"])

    def remarks(self, rows: Sequence[Row]) -> Iterator[str]:
        yield from remarks.empty_texts(rows, self._column("words"), self.key)

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer, max_length: int) -> list[Unit]:
        sequences = encode([example.inputs["words"] for example in examples], tokenizer, max_length)
        return [Unit(example, [tokens]) for example, tokens in zip(examples, sequences, strict=True)]

    def targets(self, units: Sequence[Unit], labels: Sequence[str]) -> Tensor:
        """Return the class of each word that has a token, [n]. A word is classified at its first token."""
        return torch.tensor(
            [
                labels.index(tag)
                for example, (tokens,) in units
                for tag, first in zip(example.answer, tokens.first, strict=True)
                if first >= 0
            ],
            dtype=torch.long,
        )

    def word_positions(self, units: Sequence[Unit], length: int) -> Tensor:
        rows = [tokens.first[tokens.first >= 0] + i * length for i, (_, (tokens,)) in enumerate(units)]
        return torch.from_numpy(np.concatenate(rows).astype(np.int64))

    def parse(self, line: str) -> dict[str, Any]:
        return {self._column("words"): line}

    def rows_of(self, path: Path) -> Iterator[Row] | None:
        """Return the rows of a file of inputs for prediction. A column file needs no tags: only its words are read."""
        if inner_suffix(path).lower() == CONLLU:
            return read_columns(path, FORM, tag_column=FORM)
        if inner_suffix(path).lower() not in _COLUMNS:
            return super().rows_of(path)
        return read_columns(path, self.word_column, tag_column=self.word_column)


@dataclass(frozen=True)
class WordClassification(LabelledWords):
    """Word classification: words with a class each, such as their part of speech."""

    def labels(self, examples: Sequence[Example]) -> list[str]:
        return sorted({tag for example in examples for tag in example.answer})

    def decode(self, scores: Tensor, units: Sequence[Unit], labels: Sequence[str]) -> list[Prediction]:
        """Return a prediction for each unit, from the scores of a batch. Words without a token get no class: None."""
        found = _likeliest(scores, units, labels)
        return [{"answer": tags, "probabilities": certain} for tags, certain in found]

    def show(self, example: Example, prediction: Prediction) -> str:
        pairs = zip(example.inputs["words"], prediction["answer"], strict=True)
        return " ".join(f"{word}/{tag or '?'}" for word, tag in pairs)


@dataclass(frozen=True)
class TaggedWords(LabelledWords):
    """Named entities: words with tags that mark where entities begin and end. Answers are in IOB2.

    Args:
        scheme: tagging scheme of the rows, as for `to_iob2`.
    """

    scheme: str = "auto"

    def answers(self, rows: Sequence[Row]) -> list[list[str]]:
        return to_iob2(super().answers(rows), [row.where for row in rows], self.scheme)

    def labels(self, examples: Sequence[Example]) -> list[str]:
        types = {tag[2:] for example in examples for tag in example.answer if tag != "O"}
        return ["O", *(f"{role}-{entity_type}" for entity_type in sorted(types) for role in "BI")]

    def decode(self, scores: Tensor, units: Sequence[Unit], labels: Sequence[str]) -> list[Prediction]:
        """Return a prediction for each unit, from the scores of a batch.

        Words without a token get the tag O. They are cut off, or consist of control characters only.
        """
        predictions = []
        for unit, (found, certain) in zip(units, _likeliest(scores, units, labels), strict=True):
            tags = [tag or "O" for tag in found]
            predictions.append({"answer": tags, "entities": list(_located(unit.example, tags, certain))})
        return predictions

    def prediction_row(self, example: Example, prediction: Prediction) -> dict[str, Any]:
        """Return the tags of the words, and in `scores` the score of each predicted entity."""
        scores = [entity["score"] for entity in prediction["entities"]]
        return {"gold": example.answer, "prediction": prediction["answer"], "scores": scores}

    def show(self, example: Example, prediction: Prediction) -> str:
        found = [
            f"  {e['type']}\t{e['start']}-{e['end']}\t{e['score']:.3f}\t{e['text']}" for e in prediction["entities"]
        ]
        return "\n".join([example.inputs["text"], *found])


def split_words(text: str) -> Iterator[tuple[str, int]]:
    """Yield the words of plain text with their positions. Numbers, dates and abbreviations are not split."""
    for match in _WORD.finditer(text):
        yield match.group(), match.start()


def _located(example: Example, tags: Sequence[str], certain: Sequence[float]) -> Iterator[dict[str, Any]]:
    words, starts, text = (example.inputs[name] for name in ("words", "starts", "text"))
    for entity_type, first, end in sorted(entities(tags), key=lambda entity: entity.start):
        start, stop = starts[first], starts[end - 1] + len(words[end - 1])
        score = sum(certain[first:end]) / (end - first)
        yield {"type": entity_type, "text": text[start:stop], "start": start, "end": stop, "score": score}


def _likeliest(
    scores: Tensor, units: Sequence[Unit], labels: Sequence[str]
) -> Iterator[tuple[list[str | None], list[float]]]:
    """Yield the likeliest label of each word and its probability, for each unit of a batch.

    Args:
        scores: [n, C] the scores of the words that have a token.
        units: the units.
        labels: the C labels.
    """
    probabilities, classes = (part.tolist() for part in scores.float().softmax(-1).max(-1))
    at = 0
    for _, (tokens,) in units:
        tags: list[str | None] = [None] * len(tokens.first)
        certain = [1.0] * len(tokens.first)
        for word in np.flatnonzero(tokens.first >= 0):
            tags[word], certain[word] = labels[classes[at]], probabilities[at]
            at += 1
        yield tags, certain
