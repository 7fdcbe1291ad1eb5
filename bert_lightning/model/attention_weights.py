"""The attention weights of one sequence, for readers. Training never holds them: PyTorch fuses their computation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bert_lightning.model.attention import MultiHeadAttention
from bert_lightning.model.encoder import BERT


@torch.no_grad()
def attention_weights(encoder: BERT, input_ids: Tensor, token_type_ids: Tensor | None = None) -> list[Tensor]:
    """Return the attention weights of each layer, [N, S, S] float32. A row has the weights of one query; its sum is 1.

    Weight [n, i, j] is how much token i takes from token j in head n. It is the softmax of Q K^T / sqrt(D), with rotary
    positions, and 0 outside the window of local attention. Dropout is not applied, so the encoder should be in eval
    mode.

    Args:
        encoder: the encoder.
        input_ids: [S] int64, the tokens of one sequence, on the device of the encoder.
        token_type_ids: [S] int64, the segment of each token; all 0 if None.
    """
    weights: list[Tensor] = []  # layers that share a block call its attention several times
    length, config = len(input_ids), encoder.config
    positions = torch.arange(length, device=input_ids.device)
    distance = (positions[:, None] - positions).abs()  # [S, S]

    def keep(attention: MultiHeadAttention, inputs: tuple[Any, ...]) -> None:
        query, key, _ = (part[:length].float().transpose(0, 1) for part in attention.project(*inputs))  # [N, S, D]
        scores = query @ key.transpose(1, 2) * query.size(-1) ** -0.5  # [N, S, S]
        if config.is_local(len(weights)) and config.local_window is not None:
            scores = scores.masked_fill(distance > config.local_window // 2, -torch.inf)
        weights.append(scores.softmax(-1))

    parts = [module for module in encoder.modules() if isinstance(module, MultiHeadAttention)]
    hooks = [part.register_forward_pre_hook(keep) for part in parts]
    try:
        encoder(input_ids[None], None if token_type_ids is None else token_type_ids[None])
    finally:
        for hook in hooks:
            hook.remove()
    return weights
