"""From token ids to the vectors that the first block reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bert_lightning.model.config import BertConfig
from bert_lightning.model.dropout import Dropout
from bert_lightning.model.layers import LayerNorm


class BertEmbeddings(nn.Module):
    """Sum of word, position and segment embeddings, normalised, [T] -> [T, H]. Devlin et al. 2019, figure 2."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = Dropout(config.dropout_rate)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None, positions: Tensor) -> Tensor:
        """Segment 0 everywhere where `token_type_ids` is None.

        Raises:
            ValueError: an id outside its table.
        """
        token_type_ids = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        self._check(input_ids, token_type_ids)
        x = self.word(input_ids) + self.position(positions) + self.token_type(token_type_ids)
        return self.dropout(self.norm(x))

    def _check(self, input_ids: Tensor, token_type_ids: Tensor) -> None:
        if input_ids.device.type != "cpu" or torch.compiler.is_compiling():
            return  # looking at the values would wait for the device at every step
        for name, ids, size in (
            ("input_ids", input_ids, self.word.num_embeddings),
            ("token_type_ids", token_type_ids, self.token_type.num_embeddings),
        ):
            if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < size:
                bad = int(ids[(ids < 0) | (ids >= size)][0])
                raise ValueError(f"{name} holds {bad}, but the table has the ids 0 to {size - 1}")
