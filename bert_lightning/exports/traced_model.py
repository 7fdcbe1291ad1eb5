"""The model that a traced program computes: an encoder over padded batches, and a head or a pooling."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert_lightning.errors import UserError
from bert_lightning.exports.padded_encoder import PaddedEncoder
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import (
    POOLINGS,
    MaskedLMHead,
    NextSentenceHead,
    ReplacedTokenHead,
    SequenceClassificationHead,
    SpanHead,
    TokenClassificationHead,
)
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.tasks.embedding_settings import embedding_settings

# Types of heads in our checkpoints -> the hub's name of what a model with this head does. The first head that a
# checkpoint has is exported.
_PIPELINES = {
    "sequence_classification": "text-classification",
    "token_classification": "token-classification",
    "span": "question-answering",
    "masked_lm": "fill-mask",
    "replaced_token": "token-classification",
    "next_sentence": "text-classification",
    "sentence_order": "text-classification",
}


@dataclass(frozen=True)
class ModelOutput:
    """The choice of what a program computes.

    `kind` is logits, hidden_states or embeddings. `pooling` and `normalize` are read for embeddings only.
    """

    kind: str
    pooling: str = "mean"
    normalize: bool = False


@dataclass(frozen=True)
class TracedModel:
    """A module that exporters can trace, `forward(input_ids, attention_mask[, token_type_ids])`, all [B, S] int64.

    `head` is the term whose head computes the logits; None if there is none. `left_out` are terms with other heads.
    """

    module: EncoderWithHead
    encoder: BERT
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    pipeline: str
    head: str | None
    left_out: tuple[str, ...]


def traced_model(source: PretrainedWeights, output: ModelOutput) -> TracedModel:
    """Return the model of a program.

    Raises:
        UserError: if the checkpoint has no head for logits.
    """
    encoder = source.encoder().eval()
    heads, term = _whole_heads(source), None
    names: tuple[str, ...]
    head: nn.Module
    if output.kind == "logits":
        term = _exported_term(source)
        head, names, pipeline = _head(source, term), ("logits",), _PIPELINES[heads[term]]
        if isinstance(head, SpanHead):
            names = ("start_logits", "end_logits")
    elif output.kind == "embeddings":
        head, names, pipeline = _Pooling(output), ("sentence_embedding",), "sentence-similarity"
    else:
        head, names, pipeline = nn.Identity(), ("last_hidden_state",), "feature-extraction"
    with_types = source.config.type_vocab_size > 1
    inputs = ("input_ids", "attention_mask", *(("token_type_ids",) if with_types else ()))
    module = EncoderWithHead(encoder, head).eval().requires_grad_(False)
    return TracedModel(module, encoder, inputs, names, pipeline, term, tuple(name for name in heads if name != term))


def default_output(source: PretrainedWeights) -> str:
    """Return the kind of output of a checkpoint: embeddings, if it was trained for them, logits or hidden states."""
    if embedding_settings(source).normalize:
        return "embeddings"
    return "logits" if _whole_heads(source) or source.metadata.get("task") else "hidden_states"


def _whole_heads(source: PretrainedWeights) -> dict[str, str]:
    """Return the type of each term's head. Encoders from elsewhere have a pooler that no classifier reads: left out."""
    of_pairs = ("next_sentence", "sentence_order")
    return {
        term: kind
        for term, kind in source.head_types().items()
        if kind not in of_pairs or f"objective.terms.{term}.head.classifier.weight" in source.tensors
    }


def _exported_term(source: PretrainedWeights) -> str:
    """Return the term whose head a program computes: that of the task, or else of masked tokens.

    Raises:
        UserError: if no head of the checkpoint is known.
    """
    kinds = _whole_heads(source)
    found = [term for wanted in _PIPELINES for term, kind in kinds.items() if kind == wanted]
    if not found:
        raise UserError(
            f"{source.path} has no head whose logits mean something for one sequence: "
            "give outputs=hidden_states, or outputs=embeddings"
        )
    return found[0]


def _head(source: PretrainedWeights, term: str) -> nn.Module:
    kind, config = source.head_types()[term], source.config
    prefix = f"objective.terms.{term}.head."
    if kind in ("sequence_classification", "token_classification"):
        name = f"{prefix}classifier.weight"
        if name not in source.tensors:
            raise UserError(f"{source.path} has no tensor {name}: give a checkpoint with its head")
        make = SequenceClassificationHead if kind == "sequence_classification" else TokenClassificationHead
        head: nn.Module = make(config, len(source.tensors[name]))
    elif kind == "masked_lm":
        head = MaskedLMHead(config)
    elif kind == "replaced_token":
        head = ReplacedTokenHead(config)
    else:
        head = SpanHead(config) if kind == "span" else NextSentenceHead(config)
    source.fill(head, prefix)
    return head


class EncoderWithHead(nn.Module):
    """An encoder over padded batches, and a head on its hidden states."""

    def __init__(self, encoder: BERT, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = PaddedEncoder(encoder), head

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        return self.of_hidden(self.encoder(input_ids, attention_mask, token_type_ids), attention_mask)

    def of_hidden(self, hidden: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs for hidden states [B, S, H]."""
        if isinstance(self.head, MaskedLMHead):
            found = self.head(hidden, self.encoder.embeddings.word.weight)
        elif isinstance(self.head, (SequenceClassificationHead, _Pooling)):
            found = self.head(hidden, attention_mask)
        else:
            found = self.head(hidden)
        return found if isinstance(found, tuple) else (found,)


class _Pooling(nn.Module):
    """The embedding of each text, [B, S, H] -> [B, H], as `LoadedModel.embed` computes it."""

    def __init__(self, output: ModelOutput) -> None:
        super().__init__()
        self.output = output

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        pooled = POOLINGS[self.output.pooling](hidden, attention_mask)
        return F.normalize(pooled, dim=-1) if self.output.normalize else pooled


@torch.inference_mode()
def reference_outputs(model: TracedModel, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """Return what the model computes for a batch with this package's own encoder, which skips padding."""
    mask = inputs["attention_mask"]
    hidden = model.encoder(inputs["input_ids"], inputs.get("token_type_ids"), mask)
    return model.module.of_hidden(hidden, mask)
