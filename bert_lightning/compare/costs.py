"""Compute the costs of a pretraining config without running it: parameters, FLOPs and memory."""

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
    """The costs of a pretraining config: numbers of parameters, FLOPs per token and bytes of memory.

    A multiplication and an addition are two FLOPs.
    """

    total: int  # parameters that pretraining trains: encoder, heads, generator
    embedding: int  # parameters of the encoder's embedding tables, their norm and projection
    encoder: int  # parameters of the encoder without its embeddings
    forward: float  # FLOPs per token of the encoder, on a full sequence
    training: float  # FLOPs per token of all networks: forward pass, and backward pass as twice the forward pass
    memory: (
        float  # bytes of the encoder's activations that the backward pass of one sequence needs: float32, no dropout
    )


def costs(
    config: BertConfig, make_objective: Callable[[BertConfig], JointObjective], length: int, masked: float
) -> Costs:
    """Return the costs of full sequences of `length` tokens. `masked` is the fraction of tokens that are predicted.

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
    """Return the FLOPs per token of a forward pass over a full sequence. Only matrix products count."""
    config = encoder.config
    groups = config.num_hidden_groups or config.num_hidden_layers  # `_matrices` counts a shared block once
    matrices = _matrices(encoder.blocks) * config.num_hidden_layers / groups
    # Queries times keys, and weights times values.
    attention = sum(4 * config.hidden_size * seen for seen in _tokens_seen(config, length))
    return 2 * (matrices + _matrices(encoder.embeddings)) + attention


def encoder_activations(encoder: BERT) -> int:
    """Return the number of values per token that the forward pass stores for the backward pass.

    Attention weights are not counted. A layer stores these vectors of hidden size: its input; queries, keys and values;
    the output of attention, once per head and once concatenated; both residual sums; and the first norm. Rotary
    positions store queries and keys once more. The activation stores its input and output, and a gated one four
    vectors, of intermediate size. A test measures this.
    """
    config = encoder.config
    wide = 4 if config.feed_forward == "gated" else 2
    vectors = 11 if config.positions == "rotary" else 9
    return config.num_hidden_layers * (vectors * config.hidden_size + wide * config.intermediate_size)


def _tokens_seen(config: BertConfig, length: int) -> list[int]:
    """Return how many tokens a token attends to in each layer, except near the ends of the sequence."""
    window = min(length, (config.local_window or 0) + 1)  # half of the window before the token, half after it
    return [window if config.is_local(layer) else length for layer in range(config.num_hidden_layers)]


def _head_flops(objective: Objective, config: BertConfig) -> int:
    """Return the FLOPs of one prediction: the head's matrices, and the embedding table if it scores the vocabulary."""
    head = getattr(objective, "head", None)
    if not isinstance(head, nn.Module):
        return 0
    # A head that scores the vocabulary has a bias for each token. Only a MaskedLMHead may lack this bias.
    scores_vocabulary = isinstance(head, MaskedLMHead) or any(
        parameter.shape == (config.vocab_size,) for parameter in head.parameters()
    )
    own = isinstance(head, MaskedLMHead) and head.decoder is not None  # not tied: `_matrices` counts it
    return 2 * (_matrices(head) + (scores_vocabulary and not own) * config.vocab_size * config.embedding_width)


def _matrices(module: nn.Module) -> int:
    return sum(part.weight.numel() for part in module.modules() if isinstance(part, nn.Linear))
