"""What a recipe costs, from its architecture alone: parameters, floating-point operations, memory."""

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
    """Parameters are counts, operations are a token's (a multiplication and an addition are two), memory is bytes."""

    total: int  # everything that pretraining trains: encoder, heads, generator
    embedding: int  # the tables of the encoder, their norm and projection
    encoder: int  # the encoder without them
    forward: float  # of the encoder, on a full sequence
    training: float  # forward and backward (twice the forward) of everything
    memory: float  # what backward needs of one sequence's forward pass: the encoder's, in float32, without dropout


def costs(
    config: BertConfig, make_objective: Callable[[BertConfig], JointObjective], length: int, masked: float
) -> Costs:
    """Costs of full sequences of `length` tokens, a share `masked` of which is predicted. Nothing is allocated."""
    with torch.device("meta"):
        encoder, objective = BERT(config), make_objective(config)
        objective.attach(encoder)
    embedding = parameters(encoder.embeddings)
    forward = encoder_operations(encoder, length)
    sequence = {"input_ids": range(1), "masked_labels": range(round(masked * length)), "num_tokens": length}
    of_terms = sum(
        _head_operations(term, config) * term.count(sequence) / length
        + sum(encoder_operations(part, length) for part in term.modules() if isinstance(part, BERT))
        for term in objective.objectives().values()
    )
    return Costs(
        total=parameters(nn.ModuleList([encoder, objective])),
        embedding=embedding,
        encoder=parameters(encoder) - embedding,
        forward=forward,
        training=3 * (forward + of_terms),
        memory=4 * length * activations(encoder),
    )


def parameters(module: nn.Module) -> int:
    """Numbers that a module holds; what is shared counts once."""
    return sum(parameter.numel() for parameter in module.parameters())


def encoder_operations(encoder: BERT, length: int) -> float:
    """Operations of a forward pass over a full sequence, a token. Products of matrices only, as everywhere."""
    config = encoder.config
    groups = config.num_hidden_groups or config.num_hidden_layers  # blocks that layers share count once below
    matrices = _matrices(encoder.blocks) * config.num_hidden_layers / groups
    # Queries times keys, and weights times values.
    attention = sum(4 * config.hidden_size * seen for seen in _tokens_seen(config, length))
    return 2 * (matrices + _matrices(encoder.embeddings)) + attention


def activations(encoder: BERT) -> int:
    """Numbers that backward keeps of the forward pass, a token: attention weights not among them.

    A layer keeps its input; queries, keys and values; their result, once by head and once as a vector; both sums and
    the first norm; queries and keys once more, where positions turn them; and the two sides of its activation (four
    vectors, where it is gated). A test measures it.
    """
    config = encoder.config
    wide = 4 if config.feed_forward == "gated" else 2
    vectors = 11 if config.positions == "rotary" else 9
    return config.num_hidden_layers * (vectors * config.hidden_size + wide * config.intermediate_size)


def _tokens_seen(config: BertConfig, length: int) -> list[int]:
    """Tokens that a token of each layer reads, the ends of the sequence aside."""
    window = min(length, (config.local_window or 0) + 1)  # half before, half after, and itself
    return [window if config.is_local(layer) else length for layer in range(config.num_hidden_layers)]


def _head_operations(objective: Objective, config: BertConfig) -> int:
    """Operations of one prediction: the head's matrices, and the table of words where it scores words."""
    head = getattr(objective, "head", None)
    if not isinstance(head, nn.Module):
        return 0
    # A head that scores words has a number for each word; without biases it has no matrix but the table of words.
    scores_words = isinstance(head, MaskedLMHead) or any(
        parameter.shape == (config.vocab_size,) for parameter in head.parameters()
    )
    return 2 * (_matrices(head) + scores_words * config.vocab_size * config.embedding_width)


def _matrices(module: nn.Module) -> int:
    return sum(part.weight.numel() for part in module.modules() if isinstance(part, nn.Linear))
