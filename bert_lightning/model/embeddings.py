"""The embedding layer: it turns token ids into the input vectors of the first block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bert_lightning.model.config import BertConfig
from bert_lightning.model.dropout import Dropout
from bert_lightning.model.layers import make_norm
from bert_lightning.model.positions import make_positions


class BertEmbeddings(nn.Module):
    """The normalised sum of word, position and segment embeddings, [T] -> [T, H]. Devlin et al. 2019, figure 2.

    If the embeddings are narrower than the encoder, a projection follows (Lan et al. 2020, section 3.1).
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.embedding_width
        self.word = nn.Embedding(config.vocab_size, width)
        self.position = make_positions(config)
        self.segments = config.type_vocab_size
        self.token_type = nn.Embedding(self.segments, width) if self.segments else None
        self.norm = make_norm(config, width) if config.embedding_norm else nn.Identity()
        self.dropout = Dropout(config.dropout_rate)
        narrow = width != config.hidden_size
        self.projection = nn.Linear(width, config.hidden_size, config.linear_bias) if narrow else nn.Identity()

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None, positions: Tensor) -> Tensor:
        """Return the embeddings of the tokens, [T] -> [T, H].

        If `token_type_ids` is None or the encoder has no segments, every token is in segment 0.

        Raises:
            ValueError: if an id is outside its table.
        """
        _check_ids("input_ids", input_ids, self.word.num_embeddings)
        x = self.word(input_ids)
        if self.position is not None:
            x = x + self.position(positions)
        if self.token_type is not None:
            x = x + self.token_type(self._segments(input_ids, token_type_ids))
        return self.projection(self.dropout(self.norm(x)))

    def _segments(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        if token_type_ids is None or self.segments == 1:
            return torch.zeros_like(input_ids)
        _check_ids("token_type_ids", token_type_ids, self.segments)
        return token_type_ids


def _check_ids(name: str, ids: Tensor, size: int) -> None:
    if ids.device.type != "cpu" or torch.compiler.is_compiling():
        return  # reading the values would synchronize with the device at every step
    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < size:
        bad = int(ids[(ids < 0) | (ids >= size)][0])
        raise ValueError(f"{name} holds {bad}, but the table has the ids 0 to {size - 1}")
