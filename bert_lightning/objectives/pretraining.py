"""The pretraining objectives of BERT and ALBERT: masked language modeling, and classification of segment pairs."""

from __future__ import annotations

from torch import Tensor

from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import MaskedLMHead, NextSentenceHead
from bert_lightning.objectives.base import Batch, Objective, Term, first_token_positions
from bert_lightning.objectives.cross_entropy import mean_cross_entropy
from bert_lightning.ranges import NotNegative


class MaskedLM(Objective):
    """Masked language modeling: predict the tokens at masked positions, [M, H] -> [M, V]. Devlin et al. 2019, 3.1."""

    reads = ("masked_positions", "masked_labels")

    def __init__(self, config: BertConfig, weight: NotNegative = 1.0) -> None:
        super().__init__(weight)
        self.head = MaskedLMHead(config)

    def count(self, batch: Batch) -> int:
        return len(batch["masked_labels"])

    def positions(self, batch: Batch) -> Tensor | None:
        return batch["masked_positions"]

    def forward(self, hidden: Tensor, encoder: BERT, batch: Batch) -> Term:
        labels = batch["masked_labels"]
        logits = self.head.padded_logits(hidden, encoder.embeddings.word.weight)  # [M and padding, V]
        return Term(mean_cross_entropy(logits, labels), logits[: len(labels)], labels)


class SegmentPairObjective(Objective):
    """Base class of objectives that classify pairs of segments into two classes. They read the first token, [CLS]."""

    label: str  # key of the classes in the batch

    def __init__(self, config: BertConfig, weight: NotNegative = 1.0) -> None:
        super().__init__(weight)
        self.head = NextSentenceHead(config)

    def positions(self, batch: Batch) -> Tensor | None:
        return first_token_positions(batch)

    def forward(self, hidden: Tensor, encoder: BERT, batch: Batch) -> Term:
        logits = self.head(hidden[:, None])  # [B, 1, H] -> [B, 2]
        return Term(mean_cross_entropy(logits, batch[self.label]), logits, batch[self.label])


class NextSentencePrediction(SegmentPairObjective):
    """Next-sentence prediction: does segment B follow A (0), or is it from another document (1)?

    Devlin et al. 2019, section 3.1.
    """

    label = "next_sentence_label"
    reads = (label,)


class SentenceOrderPrediction(SegmentPairObjective):
    """Sentence-order prediction: are two consecutive segments in their order (0), or swapped (1)?

    Lan et al. 2020, section 3.1.
    """

    label = "sentence_order_label"
    reads = (label,)

    @property
    def head_type(self) -> str:
        """Return the type of this head. It differs from next-sentence prediction: the classes have other meanings."""
        return "sentence_order"
