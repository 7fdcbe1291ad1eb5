"""Pretrain, fine-tune and compare BERT-family encoders.

The public names are imported at first use, so that the command line starts without importing torch, and the model API
without importing anything but torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bert_lightning.api import Run, evaluate, finetune, pretrain
    from bert_lightning.errors import UserError
    from bert_lightning.inference.loaded_model import LoadedModel, load
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
    from bert_lightning.visualization.visualizing import visualize

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
    "LoadedModel",
    "MultiHeadAttention",
    "PositionwiseFeedForward",
    "Run",
    "TransformerBlock",
    "UserError",
    "evaluate",
    "finetune",
    "load",
    "pretrain",
    "visualize",
]

# Public name -> the module that has it, below this package. All others are in `model`.
_MODULES = {
    **dict.fromkeys(("Run", "evaluate", "finetune", "pretrain"), "api"),
    **dict.fromkeys(("LoadedModel", "load"), "inference.loaded_model"),
    "UserError": "errors",
    "visualize": "visualization.visualizing",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"bert_lightning.{_MODULES.get(name, 'model')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
