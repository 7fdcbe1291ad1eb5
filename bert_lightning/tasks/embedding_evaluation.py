"""Measure embeddings of texts during training: similarity to scores of pairs, and retrieval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import torch
from omegaconf import DictConfig
from tokenizers import Tokenizer
from torch import Tensor

from bert_lightning.data.labelled.contrastive import ContrastivePairs
from bert_lightning.data.labelled.encoding import encode
from bert_lightning.data.labelled.retrieval import Collection, Retrieval
from bert_lightning.data.labelled.task_types import Example, Prediction
from bert_lightning.data.labelled.texts import TextPairSimilarity
from bert_lightning.errors import UserError
from bert_lightning.metrics import Correlations, Ranking
from bert_lightning.modules.base import EncoderModule
from bert_lightning.objectives.contrastive import Contrastive
from bert_lightning.runtime.collectives import gather_over_ranks
from bert_lightning.tasks.data import read_examples, source_of, task_type_of
from bert_lightning.tasks.dense_retrieval import rankings
from bert_lightning.tasks.scheduled_evaluation import EvaluationSchedule, ScheduledEvaluation
from bert_lightning.tasks.text_embeddings import embeddings
from bert_lightning.text.tokenizers.recipes import SpecialIds

_BATCH = 64  # texts


@dataclass(frozen=True)
class MeasuredEmbeddings:
    """Embeddings that are measured during training: their name in the log, the examples, and the schedule.

    Args:
        name: the name in the log.
        examples: the examples: pairs with scores, or queries if there is a collection.
        collection: the queries and the documents; None: the examples are pairs with scores.
        max_length: the maximal number of tokens in a text.
        schedule: when it is measured.
    """

    name: str
    examples: Sequence[Example]
    collection: Collection | None
    max_length: int
    schedule: EvaluationSchedule

    @classmethod
    def of_pairs(cls, name: str, examples: Sequence[Example], max_length: int) -> MeasuredEmbeddings:
        """Return the ranking of the positives of contrastive pairs, measured at each validation."""
        return cls(name, examples, Collection.of_pairs(examples), max_length, EvaluationSchedule([], None))

    def callback(self, tokenizer: Tokenizer, module: EncoderModule) -> EmbeddingEvaluation:
        """Return the callback that measures the embeddings. The arguments are those of `EmbeddingEvaluation`."""
        return EmbeddingEvaluation(self, tokenizer, module)

    def texts(self) -> list[str]:
        """Return all texts, as `predictions` expects their embeddings."""
        if self.collection is not None:
            return [*self.collection.queries, *self.collection.documents.values()]
        return [example.inputs[part] for part in TextPairSimilarity.parts for example in self.examples]

    def predictions(self, vectors: Tensor) -> Iterator[Prediction]:
        """Yield the prediction for each example, from the embeddings of all texts, of length 1."""
        first, second = vectors[: len(self.examples)], vectors[len(self.examples) :]
        if self.collection is not None:
            yield from rankings(self.collection, first, second)
        else:
            yield from ({"answer": cosine} for cosine in (first * second).sum(-1).tolist())

    def measures(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Return the measures of all predictions by their names."""
        metric = Correlations() if self.collection is None else Ranking()
        metric.update(predictions, self.examples)
        # Every rank has all texts, so this metric is never summed over ranks.
        metric._to_sync = False
        return {name: float(value) for name, value in metric.compute().items()}


def is_about_embeddings(task: DictConfig) -> bool:
    """Return whether a task of `evaluations` measures embeddings of texts."""
    return isinstance(task_type_of(task), TextPairSimilarity | Retrieval | ContrastivePairs)


def read_measured_embeddings(key: str, entry: DictConfig) -> MeasuredEmbeddings:
    """Return what one entry of the config key `evaluations` measures.

    Raises:
        UserError: if the entry is about something else, or its data cannot be read.
    """
    task, task_type = entry.task, task_type_of(entry.task)
    if not is_about_embeddings(task):
        raise UserError(f"evaluations.{key} does not measure embeddings of texts: use similarity, retrieval or pairs")
    if task.path is None and task.hub is None:
        raise UserError(f"evaluations.{key}.task.path has no value: give the file, or the folder, of the texts")
    examples = read_examples(task, task.validation_split, task_type, None)
    collection: Collection | None = None
    if isinstance(task_type, Retrieval):
        source: Any = source_of(task)
        collection = Collection.of_queries(examples, source.documents())
    elif isinstance(task_type, ContrastivePairs):
        collection = Collection.of_pairs(examples)
    schedule = EvaluationSchedule(list(entry.at), entry.every_steps)
    return MeasuredEmbeddings(key, examples, collection, task.max_length, schedule)


class EmbeddingEvaluation(ScheduledEvaluation):
    """A callback that measures embeddings of texts during training. The ranks share the texts.

    The pooling is that of the contrastive objective, or else the mean. `predictions` are those of the last measurement.

    Args:
        measured: what is measured.
        tokenizer: the tokenizer of the encoder.
        module: the module that is trained.
    """

    def __init__(self, measured: MeasuredEmbeddings, tokenizer: Tokenizer, module: EncoderModule) -> None:
        super().__init__(measured.schedule)
        self.predictions: list[Prediction] = []
        self.measured, self._pad = measured, SpecialIds.of(tokenizer).pad
        length = min(measured.max_length, module.encoder.config.max_position_embeddings)
        self._sequences = encode(measured.texts(), tokenizer, length)
        values = Correlations.values if measured.collection is None else Ranking.values
        self.metric_names = [f"val/{measured.name}/{value}" for value in values]
        terms = module.objective.objectives().values()
        self._pooling = next((term.pooling for term in terms if isinstance(term, Contrastive)), "mean")

    def measure(self, trainer: pl.Trainer, module: EncoderModule) -> dict[str, float]:
        """Return the measures by their names in the log."""
        rank, world = trainer.global_rank, trainer.world_size
        with torch.autocast(module.device.type, enabled=False):  # float32, whatever the precision of training
            mine = torch.from_numpy(
                embeddings(
                    module.encoder, self._sequences[rank::world], self._pad, self._pooling, layer=-1, normalize=True,
                    batch_size=_BATCH, show=False,
                )
            )  # fmt: skip
        vectors = torch.empty(len(self._sequences), mine.size(1))
        for other, theirs in enumerate(gather_over_ranks(mine)):
            vectors[other::world] = theirs
        self.predictions = list(self.measured.predictions(vectors))
        return {f"val/{self.measured.name}/{name}": v for name, v in self.measured.measures(self.predictions).items()}
