"""The encoder and its heads, in plain PyTorch. This package imports no other part of the project."""

from bert_lightning.model.attention import MultiHeadAttention
from bert_lightning.model.block import TransformerBlock
from bert_lightning.model.config import BertConfig
from bert_lightning.model.embeddings import BertEmbeddings
from bert_lightning.model.encoder import BERT
from bert_lightning.model.layers import LayerNorm, PositionwiseFeedForward
from bert_lightning.model.models import (
    BertForMaskedLM,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)

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
