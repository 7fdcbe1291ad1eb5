"""Pretrain, fine-tune and compare BERT-family encoders.

The names of the model API are imported at first use, so that the command line starts without importing torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bert_lightning.model import (
        BERT,
        BertConfig,
        BertEmbeddings,
        BertForMaskedLM,
        BertForPreTraining,
        BertForQuestionAnswering,
        BertForSequenceClassification,
        BertForTokenClassification,
        LayerNorm,
        MultiHeadAttention,
        PositionwiseFeedForward,
        TransformerBlock,
    )

__version__ = "0.1.0"

__all__ = [
    "BERT",
    "BertConfig",
    "BertEmbeddings",
    "BertForMaskedLM",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "LayerNorm",
    "MultiHeadAttention",
    "PositionwiseFeedForward",
    "TransformerBlock",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from bert_lightning import model

        return getattr(model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
