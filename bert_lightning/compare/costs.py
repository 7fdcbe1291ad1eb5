"""Compute the costs of a recipe from its architecture alone: parameters, FLOPs and memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import MaskedLMHead
from bert_lightning.objectives.base import JointObjective, Objective


@dataclass(frozen=True)
class Costs:
    """The costs of a recipe: numbers of parameters, FLOPs per token and bytes of memory.

    A multiplication and an addition are two FLOPs.
    """

    total: int  # parameters that pretraining trains: encoder, heads, generator
    embedding: int  # parameters of the encoder's embedding tables, their norm and projection
    encoder: int  # parameters of the encoder without its embeddings
    forward: float  # FLOPs per token of the encoder, on a full sequence
    training: float  # FLOPs per token of everything: forward, and backward as twice the forward
    memory: float  # bytes that backward needs of the encoder's forward pass over one sequence: float32, no dropout


def costs(
    config: BertConfig, make_objective: Callable[[BertConfig], JointObjective], length: int, masked: float
) -> Costs:
    """Return the costs of full sequences of `length` tokens. The share `masked` of the tokens is predicted.

    The networks are built on the meta device, so that their parameters take no memory.
    """
    with torch.device("meta"):
        encoder, objective = BERT(config), make_objective(config)
        objective.attach(encoder)
    embedding = parameters(encoder.embeddings)
    forward = encoder_flops(encoder, length)
    sequence = {"input_ids": range(1), "masked_labels": range(round(masked * length)), "num_tokens": length}
    head_flops = sum(
        _head_flops(term, config) * term.count(sequence) / length
        + sum(encoder_flops(part, length) for part in term.modules() if isinstance(part, BERT))
        for term in objective.objectives().values()
    )
    return Costs(
        total=parameters(nn.ModuleList([encoder, objective])),
        embedding=embedding,
        encoder=parameters(encoder) - embedding,
        forward=forward,
        training=3 * (forward + head_flops),
        memory=4 * length * encoder_activations(encoder),
    )


def parameters(module: nn.Module) -> int:
    """Return the number of parameters of a module. A shared parameter counts once."""
    return sum(parameter.numel() for parameter in module.parameters())


def encoder_flops(encoder: BERT, length: int) -> float:
    """Return the FLOPs per token of a forward pass over a full sequence. As everywhere, only matrix products count."""
    config = encoder.config
    groups = config.num_hidden_groups or config.num_hidden_layers  # `_matrices` counts a shared block once
    matrices = _matrices(encoder.blocks) * config.num_hidden_layers / groups
    # Queries times keys, and weights times values.
    attention = sum(4 * config.hidden_size * seen for seen in _tokens_seen(config, length))
    return 2 * (matrices + _matrices(encoder.embeddings)) + attention


def encoder_activations(encoder: BERT) -> int:
    """Return the number of values per token that the forward pass stores for the backward pass.

    Attention weights are not counted. A layer stores its input; queries, keys and values; the output of attention, once
    per head and once as a vector; both residual sums and the first norm; with rotary positions, queries and keys once
    more; and the input and output of its activation (four vectors if it is gated). A test measures this.
    """
    config = encoder.config
    wide = 4 if config.feed_forward == "gated" else 2
    vectors = 11 if config.positions == "rotary" else 9
    return config.num_hidden_layers * (vectors * config.hidden_size + wide * config.intermediate_size)


def _tokens_seen(config: BertConfig, length: int) -> list[int]:
    """Return how many tokens a token attends to in each layer, except near the ends of the sequence."""
    window = min(length, (config.local_window or 0) + 1)  # half before, half after, and itself
    return [window if config.is_local(layer) else length for layer in range(config.num_hidden_layers)]


def _head_flops(objective: Objective, config: BertConfig) -> int:
    """Return the FLOPs of one prediction: the head's matrices, and the embedding table if it scores the vocabulary."""
    head = getattr(objective, "head", None)
    if not isinstance(head, nn.Module):
        return 0
    # A head that scores the vocabulary has a bias for each token of it. Only a MaskedLMHead may have none.
    scores_vocabulary = isinstance(head, MaskedLMHead) or any(
        parameter.shape == (config.vocab_size,) for parameter in head.parameters()
    )
    own = isinstance(head, MaskedLMHead) and head.decoder is not None  # not tied, so among the head's matrices
    return 2 * (_matrices(head) + (scores_vocabulary and not own) * config.vocab_size * config.embedding_width)


def _matrices(module: nn.Module) -> int:
    return sum(part.weight.numel() for part in module.modules() if isinstance(part, nn.Linear))
