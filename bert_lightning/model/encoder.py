"""BERT: embeddings and a stack of blocks."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from bert_lightning.model.block import TransformerBlock
from bert_lightning.model.config import BertConfig
from bert_lightning.model.embeddings import BertEmbeddings
from bert_lightning.model.layers import initialize


class BERT(nn.Module):
    """Encoder of Devlin et al. 2019, without pooler (the heads that need one own it).

    Call it with a config, ``BERT(config)``, or with the config's fields, ``BERT(vocab_size=30522, hidden_size=768)``.
    """

    def __init__(self, config: BertConfig | None = None, **fields: Any) -> None:
        super().__init__()
        if config is not None and fields:
            raise TypeError(f"give BERT a config or fields, not both: {', '.join(fields)}")
        if config is not None and not isinstance(config, BertConfig):
            raise TypeError(f"BERT takes a BertConfig, not {config!r}: write BERT(vocab_size={config!r}) for a field")
        self.config = config or BertConfig(**fields)
        self.embeddings = BertEmbeddings(self.config)
        self.blocks = nn.ModuleList(TransformerBlock(self.config) for _ in range(self.config.num_hidden_layers))
        initialize(self, self.config.initializer_range)

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> Tensor:
        """Contextual vectors, [B, S] -> [B, S, H].

        Args:
            input_ids: [B, S] int64, token ids.
            token_type_ids: [B, S] int64, the segment of each token; all 0 if None.
            attention_mask: [B, S] bool or int, true at real tokens and false at padding; all true if None.
        """
        mask = None if attention_mask is None else attention_mask.bool()[:, None, None, :]  # [B, 1, 1, S]
        x = self.embeddings(input_ids, token_type_ids)
        for block in self.blocks:
            x = block(x, mask)
        return x
