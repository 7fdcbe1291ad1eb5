"""The module for pretraining, which trains an encoder from scratch."""

from __future__ import annotations

from typing import Any

from bert_lightning.modules.base import EncoderModule


class PretrainingModule(EncoderModule):
    """A LightningModule that trains an encoder from scratch.

    Its checkpoints serve `finetune` (the encoder) and `predict` (which fills in masked tokens). They store the length
    of the longest training sequence, because the embeddings of later positions have learned nothing.
    """

    def __init__(self, *, max_length: int, **parts: Any) -> None:
        super().__init__(**parts)
        self.max_length = max_length

    def metadata(self) -> dict[str, Any]:
        return {**super().metadata(), "max_length": self.max_length, "terms": list(self.objective.terms)}
