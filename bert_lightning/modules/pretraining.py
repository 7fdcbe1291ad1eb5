"""The module for pretraining."""

from __future__ import annotations

from typing import Any

from bert_lightning.modules.base import EncoderModule


class PretrainingModule(EncoderModule):
    """A LightningModule that pretrains an encoder.

    Args:
        max_length: the length of the longest training sequence, in tokens. Checkpoints store it, because the embeddings
            of later positions are not trained.
        parts: the other arguments of `EncoderModule`.
    """

    def __init__(self, *, max_length: int, **parts: Any) -> None:
        super().__init__(**parts)
        self.max_length = max_length

    def metadata(self) -> dict[str, Any]:
        return {**super().metadata(), "max_length": self.max_length, "terms": list(self.objective.terms)}
