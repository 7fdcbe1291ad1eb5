"""Rank documents for queries by the cosine of their embeddings. Nothing is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from bert_lightning.data.labelled.encoding import encode
from bert_lightning.data.labelled.rankings import DEPTH
from bert_lightning.data.labelled.retrieval import Collection
from bert_lightning.data.labelled.task_types import Example, Prediction, TaskType
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.tasks.embedding_settings import embedding_settings
from bert_lightning.tasks.text_embeddings import embeddings
from bert_lightning.tasks.tokenized_examples import TokenizedExamples
from bert_lightning.text.tokenizers.recipes import SpecialIds

_BLOCK = 2**24  # cosines that are in memory at once


class Retriever:
    """A predictor of rankings: it embeds the queries and all documents with the encoder of a checkpoint.

    The pooling is that of the checkpoint's training, or else the mean. Search is exact.

    Args:
        source: the checkpoint.
        task_type: the task type, `Retrieval` or `ContrastivePairs`.
        max_length: the maximal number of tokens in a text.
        documents: the source of the documents, with a method `documents`; None: the positives of the examples.
    """

    def __init__(self, source: PretrainedWeights, task_type: TaskType, max_length: int, documents: Any = None) -> None:
        self.path, self.task_type, self.tokenizer, self._source = source.path, task_type, source.tokenizer, documents
        self.labels: list[str] = []
        self.num_cut = 0  # texts so far that were cut to the maximal length
        self.max_length = min(max_length, source.config.max_position_embeddings)
        self.pooling = embedding_settings(source).pooling
        self.encoder = source.encoder().eval().to("cuda" if torch.cuda.is_available() else "cpu")

    def __call__(
        self, examples: Sequence[Example], batch_size: int, tokenized: TokenizedExamples | None = None
    ) -> Iterator[tuple[Example, Prediction]]:
        """Yield each example with its ranking, in the given order. Texts are tokenized again for each checkpoint."""
        if self._source is None:
            found = Collection.of_pairs(examples)
        else:
            found = Collection.of_queries(examples, self._source.documents())
        documents = self._vectors(list(found.documents.values()), batch_size)
        yield from zip(examples, rankings(found, self._vectors(found.queries, batch_size), documents), strict=True)

    def _vectors(self, texts: Sequence[str], batch_size: int) -> Tensor:
        sequences = encode(texts, self.tokenizer, self.max_length)
        self.num_cut += sum(tokens.is_cut for tokens in sequences)
        pad = SpecialIds.of(self.tokenizer).pad
        return torch.from_numpy(
            embeddings(
                self.encoder, sequences, pad, self.pooling, layer=-1, normalize=True, batch_size=batch_size, show=None
            )
        )


def rankings(collection: Collection, queries: Tensor, documents: Tensor) -> Iterator[Prediction]:
    """Yield the ranking of each query: the ids of its best documents, their cosines, and the grades of the query.

    Args:
        collection: the queries and the documents.
        queries: embeddings of the queries of length 1, [queries, H].
        documents: embeddings of the documents of length 1, [documents, H].
    """
    names, depth = list(collection.documents), min(DEPTH, len(documents))
    blocks = queries.split(max(1, _BLOCK // max(1, len(names))))
    found = (block @ documents.T for block in blocks)
    best = (pair for cosines in found for pair in zip(*(part.tolist() for part in cosines.topk(depth)), strict=True))
    for relevance, (scores, indices) in zip(collection.relevance, best, strict=True):
        yield {"answer": [names[index] for index in indices], "scores": scores, "relevance": dict(relevance)}
