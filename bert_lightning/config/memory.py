"""Check that a training step fits into the memory of this machine. The estimate is a lower bound.

It is computed from the config. No network is built, so even 10,000 layers are refused at once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig

from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig

_BYTES_PER_PARAMETER = 16  # weight, gradient and two moments of the optimizer, in float32
_CGROUP = Path("/sys/fs/cgroup/memory.max")
# Fraction of real tokens that is assumed in a batch of pretraining: sentences are shorter than the maximal length.
_FILLED = 0.25


@dataclass(frozen=True)
class TrainingMemory:
    """The estimated memory of a training step on each device. All values are lower bounds.

    Args:
        parameters: number of parameters of the encoder.
        tokens: number of tokens in a batch, without padding.
        model: bytes of the parameters, their gradients and the optimizer's state.
        batch: bytes of the activations that the backward pass of a batch needs.
    """

    parameters: int
    tokens: int
    model: int
    batch: int

    @classmethod
    def estimate(cls, config: BertConfig, tokens: float, bytes_per_number: int = 4, shards: int = 1) -> TrainingMemory:
        """Estimate the memory of a step. `check_memory` explains the arguments."""
        parameters = parameter_count(config)
        batch = int(tokens * activations_per_token(config) * bytes_per_number)
        return cls(parameters, int(tokens), parameters * _BYTES_PER_PARAMETER // shards, batch)

    @property
    def total(self) -> int:
        return self.model + self.batch


def pretraining_tokens(config: DictConfig) -> float:
    """Return about how many tokens a batch of a pretraining config has on each device, without padding."""
    lengths = [int(config.examples.get(name) or 1) for name in ("max_length", "tokens")]
    return float(config.batch_tokens or config.batch_size * max(lengths) * _FILLED)


def value_bytes(precision: object) -> int:
    """Return the bytes of one value of the hidden states with this `trainer.precision`."""
    return 2 if "16" in str(precision) else 4


def check_memory(config: BertConfig, tokens: float, bytes_per_number: int = 4, shards: int = 1) -> None:
    """Check that a training step fits into this machine.

    Args:
        config: config of the encoder.
        tokens: number of tokens in a batch, without padding.
        bytes_per_number: bytes of one value of the hidden states; 2 in half precision.
        shards: number of ranks that share the parameters.

    Raises:
        UserError: if it does not fit; the message gives the memory that is needed and the memory of the machine.
    """
    step = TrainingMemory.estimate(config, tokens, bytes_per_number, shards)
    if step.total > (there := available_memory()):
        raise UserError(
            f"a training step needs {_gigabytes(step.total)} or more, and this machine has {_gigabytes(there)}: "
            f"{step.parameters:,} parameters take {_gigabytes(step.model)}, a batch of about {step.tokens:,} tokens "
            f"{_gigabytes(step.batch)}. Choose a smaller model=..., or lower batch_size or the maximal length"
        )


def parameter_count(config: BertConfig) -> int:
    """Return the number of parameters of an encoder, with its embedding tables but without biases and norms."""
    width, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    block = 4 * width * width + (3 if config.feed_forward == "gated" else 2) * width * inner
    positions = config.max_position_embeddings if config.positions == "learned" else 0
    rows = config.vocab_size + positions + config.type_vocab_size
    narrow = config.embedding_width
    return rows * narrow + (narrow * width if narrow != width else 0) + block * (config.num_hidden_groups or layers)


def activations_per_token(config: BertConfig) -> int:
    """Return how many values per token the forward pass stores for the backward pass.

    `compare.costs.encoder_activations` explains the count. Here the values of rotary positions are left out.
    """
    wide = 4 if config.feed_forward == "gated" else 2
    return config.num_hidden_layers * (9 * config.hidden_size + wide * config.intermediate_size)


def available_memory() -> int:
    """Return the bytes of memory that this process can use.

    It is the larger of two: the machine's memory, limited by its container, and the memory of all GPUs.
    """
    gpus = range(torch.cuda.device_count())
    return max(host_memory(), sum(torch.cuda.get_device_properties(number).total_memory for number in gpus))


def host_memory() -> int:
    """Return the bytes of the machine's memory, or of its container's limit if that is lower."""
    host = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _CGROUP.read_text().strip() if _CGROUP.exists() else "max"
    return min(host, int(limit)) if limit.isdigit() else host


def _gigabytes(number: int) -> str:
    return f"{number / 1e9:,.1f} GB"
