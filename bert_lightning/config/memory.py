"""Check that a training step fits into the memory of this machine. The estimate is a lower bound.

It is computed from the config. No network is built, so even 10,000 layers are refused at once.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch

from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig

_BYTES_PER_PARAMETER = 16  # weight, gradient and two moments of the optimizer, in float32
_CGROUP = Path("/sys/fs/cgroup/memory.max")


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
    parameters, kept = parameter_count(config), activations_per_token(config)
    model, batch = parameters * _BYTES_PER_PARAMETER // shards, int(tokens * kept * bytes_per_number)
    if model + batch > (there := available_memory()):
        raise UserError(
            f"a training step needs {_gigabytes(model + batch)} or more, and this machine has {_gigabytes(there)}: "
            f"{parameters:,} parameters take {_gigabytes(model)}, a batch of about {int(tokens):,} tokens "
            f"{_gigabytes(batch)}. Choose a smaller model=..., or lower batch_size or the maximal length"
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
    host = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _CGROUP.read_text().strip() if _CGROUP.exists() else "max"
    host = min(host, int(limit)) if limit.isdigit() else host
    gpus = range(torch.cuda.device_count())
    return max(host, sum(torch.cuda.get_device_properties(number).total_memory for number in gpus))


def _gigabytes(number: int) -> str:
    return f"{number / 1e9:,.1f} GB"
