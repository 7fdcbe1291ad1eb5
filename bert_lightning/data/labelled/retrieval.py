"""Retrieval: which documents of a collection are relevant to a query?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from tokenizers import Tokenizer
from torch import Tensor

from bert_lightning.data.labelled.contrastive import ANCHOR, POSITIVE
from bert_lightning.data.labelled.encoding import encode
from bert_lightning.data.labelled.rankings import Relevance, ranking_row
from bert_lightning.data.labelled.sources import Files
from bert_lightning.data.labelled.task_types import Example, Prediction, TaskType, Unit, content_hash
from bert_lightning.errors import UserError
from bert_lightning.text.files.paths import resolve
from bert_lightning.text.files.rows import Row, read_rows
from bert_lightning.text.sentences import clean


@dataclass(frozen=True)
class Collection:
    """Queries with the grades of their documents, and all documents."""

    queries: Sequence[str]
    relevance: Sequence[Relevance]
    documents: Mapping[str, str]  # id -> text

    @classmethod
    def of_queries(cls, examples: Sequence[Example], documents: Mapping[str, str]) -> Collection:
        """Return the collection of the examples of `Retrieval`.

        Raises:
            UserError: if there is no such document as one that is relevant.
        """
        judged = ((example, name) for example in examples for name, grade in example.answer.items() if grade > 0)
        for example, name in judged:
            if name not in documents:
                raise UserError(
                    f"{example.where}: document {name!r} is relevant to this query, but is not in corpus.jsonl: add it"
                )
        return cls([example.inputs["query"] for example in examples], [e.answer for e in examples], documents)

    @classmethod
    def of_pairs(cls, examples: Sequence[Example]) -> Collection:
        """Return each anchor as a query. The documents are the positives of all examples, each text once.

        The positives of all examples with the anchor are relevant to it.
        """
        documents, relevance = {}, defaultdict[str, dict[str, float]](dict)
        for example in examples:
            name = content_hash(example.inputs[POSITIVE])
            documents[name] = example.inputs[POSITIVE]
            relevance[example.inputs[ANCHOR]][name] = 1.0
        anchors = [example.inputs[ANCHOR] for example in examples]
        return cls(anchors, [relevance[anchor] for anchor in anchors], documents)


@dataclass(frozen=True)
class Retrieval(TaskType):
    """Retrieval: a query, and the grades of the documents that were judged for it. It is measured, not trained."""

    parts: ClassVar[tuple[str, ...]] = ("query",)

    def answers(self, rows: Sequence[Row]) -> list[Relevance]:
        return [row.values["relevance"] for row in rows]

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer, max_length: int) -> list[Unit]:
        sequences = encode([example.inputs["query"] for example in examples], tokenizer, max_length)
        return [Unit(example, [tokens]) for example, tokens in zip(examples, sequences, strict=True)]

    def targets(self, units: Sequence[Unit], labels: Sequence[str]) -> Tensor:
        return torch.zeros(len(units))

    def decode(self, scores: Tensor, units: Sequence[Unit], labels: Sequence[str]) -> list[Prediction]:
        raise NotImplementedError("a ranking needs the documents: see tasks/dense_retrieval.py")

    def prediction_row(self, example: Example, prediction: Prediction) -> dict[str, Any]:
        return ranking_row(prediction)

    def show(self, example: Example, prediction: Prediction) -> str:
        return "\t".join([example.inputs["query"], *prediction["answer"][:10]])


@dataclass(frozen=True)
class BeirFolder(Files):
    """Queries and documents in the layout of BEIR: `corpus.jsonl`, `queries.jsonl` and `qrels/<split>.tsv`.

    Thakur et al. 2021, arXiv:2104.08663. `splits` names the files of judgements. Queries without a relevant document
    are left out.
    """

    def read(self, split: str) -> list[Row] | None:
        if not Path(self.path).expanduser().is_dir():
            raise UserError(f"task.path={self.path} is no folder with corpus.jsonl, queries.jsonl and qrels: give one")
        if (judgements := super().read(split)) is None:
            return None
        relevance = defaultdict[str, dict[str, float]](dict)
        for row in judgements:
            query, document = (row.text(name) for name in ("query-id", "corpus-id"))
            relevance[query][document] = _grade(row)
        texts = {row.text("_id"): row for row in self._rows("queries.jsonl")}
        if missing := sorted(relevance.keys() - texts.keys()):
            raise UserError(f"{self.path}: queries.jsonl has no query {missing[0]!r}, which {split} judges: add it")
        found = [
            Row(texts[query].where, {"id": query, "query": clean(texts[query].text("text")), "relevance": grades})
            for query, grades in relevance.items()
            if any(grade > 0 for grade in grades.values())
        ]
        if not found:
            raise UserError(f"{self.path}: no query of {split} has a relevant document: give judgements above 0")
        return found

    def documents(self) -> dict[str, str]:
        """Return id -> text of all documents. The title, if there is one, stands before the text, as in BEIR."""
        return {
            row.text("_id"): clean(f"{row.values.get('title') or ''} {row.text('text')}").strip()
            for row in self._rows("corpus.jsonl")
        }

    def _rows(self, name: str) -> Iterator[Row]:
        folder = Path(self.path).expanduser()
        for file in resolve(str(folder / name) if (folder / name).exists() else str(folder / f"{name}.gz")):
            yield from read_rows(file)


def _grade(row: Row) -> float:
    try:
        return float(row.text("score"))
    except ValueError:
        raise UserError(f"{row.where}: the score {row.text('score')!r} must be a number: fix it") from None
