"""Fine-tuning: a pretrained encoder under the objective of one task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bert_lightning.modules.base import EncoderModule


class FinetuningModule(EncoderModule):
    """Trains encoder and head of a classification task.

    Its checkpoint keeps the names of the labels and the length that texts are cut to, so `predict` needs no yaml.
    """

    def __init__(self, *, labels: Sequence[str], max_length: int, **parts: Any) -> None:
        super().__init__(**parts)
        self.labels, self.max_length = list(labels), max_length

    def card(self) -> dict[str, Any]:
        return {**super().card(), "labels": self.labels, "max_length": self.max_length}
