"""Pretraining: an encoder, and the objectives it learns from."""

from __future__ import annotations

from typing import Any

from bert_lightning.modules.base import EncoderModule


class PretrainingModule(EncoderModule):
    """Trains an encoder from scratch. Its checkpoint serves `finetune` (encoder) and `predict` (filling in masks).

    It keeps the length of the longest sequence: embeddings of later positions have learned nothing.
    """

    def __init__(self, *, max_length: int, **parts: Any) -> None:
        super().__init__(**parts)
        self.max_length = max_length

    def card(self) -> dict[str, Any]:
        return {**super().card(), "max_length": self.max_length, "terms": list(self.objective.terms)}
