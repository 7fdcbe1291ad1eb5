"""The contrastive objective for text embeddings: find the positive of an anchor among all texts of the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather
from torch.utils.checkpoint import checkpoint

from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import POOLINGS
from bert_lightning.objectives.base import Term
from bert_lightning.objectives.cross_entropy import mean_cross_entropy
from bert_lightning.objectives.downstream import TaskObjective
from bert_lightning.ranges import Count, NotNegative, OneOf, Positive
from bert_lightning.runtime.collectives import distributed

_NO_PARTNER = -1  # the partner of a given negative; ids of texts are 0 or more


class Contrastive(TaskObjective):
    """Contrastive learning with in-batch negatives: InfoNCE, or multiple negatives ranking.

    van den Oord et al. 2018, arXiv:1807.03748, equation 4; Henderson et al. 2017, arXiv:1705.00652, section 4.4. The
    candidates of an anchor are the positives and the given negatives of the whole batch, of all ranks. The loss is the
    cross-entropy of the anchor's own positive under a softmax over cosine / temperature.

    A text that is no true negative of an anchor is left out of its candidates: one equal to the anchor or to its
    positive, and a positive of the same anchor in another row.

    With `chunk_size`, the memory for activations is that of one chunk: the embeddings of a chunk are computed again in
    the backward pass, with the same dropout, as in GradCache (Gao et al. 2021, arXiv:2101.06983). Loss and gradient are
    those of the whole batch.

    Args:
        config: the config of the encoder.
        pooling: `mean` over all tokens, `cls` for the first token, or `max` over all tokens.
        temperature: divisor of the cosines.
        symmetric: whether to find the anchor of each positive too. The loss is then the mean of both directions.
        dimensions: sizes of embeddings. The loss is the sum of the losses of these first dimensions, as in Matryoshka
            learning (Kusupati et al. 2022, arXiv:2205.13147); None: all dimensions only.
        chunk_size: number of texts whose activations are in memory; None: all texts of the batch.
        weight: factor of this loss.

    Raises:
        UserError: if there is no such pooling, or the encoder has fewer dimensions.
    """

    learns_a_head = False

    def __init__(
        self,
        config: BertConfig,
        pooling: Annotated[str, OneOf(("mean", "cls", "max"))] = "mean",
        temperature: Positive = 0.05,
        symmetric: bool = False,
        dimensions: Sequence[int] | None = None,
        chunk_size: Count | None = None,
        weight: NotNegative = 1.0,
    ) -> None:
        super().__init__(weight)
        if pooling not in POOLINGS:
            raise UserError(f"task.objective.pooling={pooling} must be one of {', '.join(POOLINGS)}")
        self.dimensions = [config.hidden_size] if dimensions is None else list(dimensions)
        if not self.dimensions or not all(1 <= size <= config.hidden_size for size in self.dimensions):
            raise UserError(
                f"task.objective.dimensions={self.dimensions} must be from 1 to hidden_size={config.hidden_size}"
            )
        self.head = nn.Identity()
        self.pooling, self.temperature, self.symmetric, self.chunk_size = pooling, temperature, symmetric, chunk_size

    def encode(self, encoder: BERT, batch: Mapping[str, Any]) -> Tensor:
        """Return the embedding of each text of the batch, [texts, H], in chunks if there is a chunk size."""
        inputs = batch["input_ids"], batch["token_type_ids"], batch["attention_mask"]
        if self.chunk_size is None:
            return self._embed(encoder, *inputs)
        chunks = zip(*(tensor.split(self.chunk_size) for tensor in inputs), strict=True)
        # `checkpoint` restores the random state, so the second pass drops the same elements.
        return torch.cat([checkpoint(self._embed, encoder, *chunk, use_reentrant=False) for chunk in chunks])

    def _embed(self, encoder: BERT, ids: Tensor, types: Tensor, mask: Tensor) -> Tensor:
        return POOLINGS[self.pooling](encoder(ids, types, mask).float(), mask)

    def scores(self, hidden: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Return the cosine of each anchor with its own positive, [units]. `hidden` is [texts, S, H]."""
        return self._cosines(POOLINGS[self.pooling](hidden.float(), batch["attention_mask"]), batch)

    def forward(self, hidden: Tensor, encoder: BERT, batch: Mapping[str, Any]) -> Term:
        """Return the loss of a batch. `hidden` has the embeddings that `encode` returns."""
        losses = [self._loss(F.normalize(hidden[:, :size], dim=-1), batch) for size in self.dimensions]
        return Term(torch.stack(losses).sum(), self._cosines(hidden, batch), batch["labels"])

    def _cosines(self, embeddings: Tensor, batch: Mapping[str, Any]) -> Tensor:
        first = _first_texts(batch)
        return F.cosine_similarity(embeddings[first], embeddings[first + 1])

    def _loss(self, embeddings: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Return the mean loss of the anchors, from embeddings of length 1, [texts, d]."""
        anchors, texts = _first_texts(batch), batch["text_ids"]
        partners = torch.full_like(texts, _NO_PARTNER)
        partners[anchors], partners[anchors + 1] = texts[anchors + 1], texts[anchors]
        is_anchor = torch.zeros_like(texts, dtype=torch.bool).index_fill(0, anchors, True)
        number = torch.arange(len(anchors), device=anchors.device)
        # The positive of unit i follows its anchor, and i anchors before it are no documents.
        loss = self._ranking_loss(embeddings, texts, partners, anchors, ~is_anchor, anchors - number)
        if self.symmetric:
            backward = self._ranking_loss(embeddings, texts, partners, anchors + 1, is_anchor, number)
            loss = (loss + backward) / 2
        return loss

    def _ranking_loss(
        self, embeddings: Tensor, texts: Tensor, partners: Tensor, queries: Tensor, is_candidate: Tensor, own: Tensor
    ) -> Tensor:
        """Return the mean cross-entropy of the queries' own candidates.

        Args:
            embeddings: the embeddings of this rank's texts, of length 1, [texts, d].
            texts: the id of each text, [texts].
            partners: the id of the positive of each anchor, and of the anchor of each positive, [texts].
            queries: the indices of the queries, [Q].
            is_candidate: which texts are candidates, [texts].
            own: the index of each query's own candidate among those of this rank, [Q].
        """
        candidates, offset = _gathered(embeddings[is_candidate], self.training)  # [C, d]
        others, their_partners = (_gathered(ids[is_candidate], self.training)[0] for ids in (texts, partners))
        with torch.autocast(embeddings.device.type, enabled=False):  # a temperature of 0.05 magnifies rounding
            cosines = embeddings[queries] @ candidates.T  # [Q, C]
        text, target, own = texts[queries, None], partners[queries, None], own + offset
        is_no_negative = (others == text) | (others == target) | (their_partners == text)
        is_no_negative.scatter_(1, own[:, None], False)
        return mean_cross_entropy((cosines / self.temperature).masked_fill(is_no_negative, -torch.inf), own)


def _first_texts(batch: Mapping[str, Any]) -> Tensor:
    """Return the index of each unit's first text, its anchor, [units]. Its positive follows it."""
    sizes: Tensor = batch["group_sizes"]
    return sizes.cumsum(0) - sizes


def _gathered(rows: Tensor, of_all_ranks: bool) -> tuple[Tensor, int]:
    """Return the rows of all ranks, and the index of this rank's first row. Gradients flow to the rank of each row.

    Ranks may have different numbers of rows. In validation, ranks may have different numbers of batches, so that each
    has its own candidates.
    """
    if not of_all_ranks or not distributed():
        return rows, 0
    counts = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    sizes = [int(count) for count in counts]
    padded = torch.cat([rows, rows.new_zeros(max(sizes) - len(rows), *rows.shape[1:])])
    if rows.is_floating_point():
        parts = list(all_gather(padded))
    else:
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)]), sum(sizes[: dist.get_rank()])
