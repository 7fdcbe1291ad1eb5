"""The BERT encoder: embeddings and a stack of transformer blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from bert_lightning.model.block import make_blocks
from bert_lightning.model.config import BertConfig
from bert_lightning.model.embeddings import BertEmbeddings
from bert_lightning.model.layers import initialize, make_norm
from bert_lightning.model.positions import rotation
from bert_lightning.model.unpadding.layout import Layout, padded_layout, unpadded_layout


class BERT(nn.Module):
    """The encoder of Devlin et al. 2019, without a pooler. The heads that need a pooler own it.

    Build it from a config, ``BERT(config)``, or from the config's fields, ``BERT(vocab_size=30522, hidden_size=768)``.

    Args:
        unpad: whether to skip the computation at padding. False computes padding too, as plain implementations do. It
            serves for comparison: the results are the same up to rounding. No checkpoint stores this setting.
    """

    def __init__(self, config: BertConfig | None = None, *, unpad: bool = True, **fields: Any) -> None:
        super().__init__()
        if config is not None and fields:
            raise TypeError(f"give BERT a config or fields, not both: {', '.join(fields)}")
        if config is not None and not isinstance(config, BertConfig):
            raise TypeError(f"BERT takes a BertConfig, not {config!r}: write BERT(vocab_size={config!r}) for a field")
        self.config = config or BertConfig(**fields)
        self.unpad = unpad
        self.embeddings = BertEmbeddings(self.config)
        self.blocks = make_blocks(self.config)
        self.norm = make_norm(self.config, self.config.hidden_size) if self.config.final_norm else nn.Identity()
        initialize(self, self.config.initializer_range)
        if self.config.depth_scaled_init:
            for name, part in self.blocks.named_modules():
                if name.endswith((".attention.output", ".feed_forward.down")):
                    initialize(part, self.config.initializer_range / (2 * self.config.num_hidden_layers) ** 0.5)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Return the hidden states, [B, S] -> [B, S, H], 0 at padding. With `positions`, return only those, [M, H].

        Args:
            input_ids: [B, S] int64, token ids.
            token_type_ids: [B, S] int64, the segment of each token; all 0 if None.
            attention_mask: [B, S] bool, int or float: 0 at padding, 1 at real tokens. If a row packs several sequences,
                their tokens have the numbers 1, 2, 3... A token attends only to tokens of its own row and number.
                Positions restart at each number. All 1 if None.
            positions: [M] int64, indices into the flattened batch [B * S] of the hidden states to return. The last
                layer then computes queries, feed-forward and norms only for these. This costs less.
        """
        layout = self._layout(input_ids, attention_mask)
        x = self._embed(layout, input_ids, token_type_ids)
        layouts = self._attention_layouts(layout)
        last = self.config.num_hidden_layers - 1
        for layer in range(last + 1):
            if layer == last and positions is not None:
                layout = layout.select_queries(positions)
                layouts = self._attention_layouts(layout)
            x = self._apply_layer(layer, x, *layouts)
        return layout.unpack(self.norm(x))

    def layer_states(
        self, input_ids: Tensor, token_type_ids: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Yield the hidden states of the embeddings, and then those of each layer, all [B, S, H], 0 at padding.

        The arguments are those of `forward`. The states of the last layer are what `forward` returns. They include the
        final norm, if there is one, as `hidden_states` of transformers do.
        """
        layout = self._layout(input_ids, attention_mask)
        x = self._embed(layout, input_ids, token_type_ids)
        yield layout.unpack(x)
        layouts = self._attention_layouts(layout)
        last = self.config.num_hidden_layers - 1
        for layer in range(last + 1):
            x = self._apply_layer(layer, x, *layouts)
            yield layout.unpack(self.norm(x) if layer == last else x)

    def compile_feed_forward(self) -> None:
        """Compile the feed-forward layers with torch.compile, in place, so that parameter names do not change.

        Shapes are static. There are only a few, because the number of tokens is rounded, and only one if the batch
        size is given in tokens. Attention and dropout are not compiled, because that makes them slower on a CPU.
        """
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 64)
        for block in self.blocks:
            block.get_submodule("feed_forward").compile(dynamic=False)

    def _embed(self, layout: Layout, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Return the embeddings of the tokens that are computed, [B, S] -> [T, H]."""
        types = None if token_type_ids is None else layout.pack(token_type_ids)
        return self.embeddings(layout.pack(input_ids), types, layout.positions)

    def _apply_layer(self, layer: int, x: Tensor, global_layout: Layout, local_layout: Layout) -> Tensor:
        """Apply a layer, [T, H] -> [Q, H]. Neighbouring layers may share a block."""
        block = self.blocks[layer * len(self.blocks) // self.config.num_hidden_layers]
        return block(x, local_layout if self.config.is_local(layer) else global_layout)

    def _attention_layouts(self, layout: Layout) -> tuple[Layout, Layout]:
        """Return two layouts, for layers with global and with local attention. Each has its own rotary angles."""
        config, local_layout = self.config, layout
        if config.local_window is not None:
            local_layout = layout.limit_to_window(config.local_window // 2)
        if config.positions != "rotary":
            return layout, local_layout
        global_layout = replace(layout, rotation=rotation(layout.positions, config.head_width, config.rope_theta))
        local_theta = config.rope_theta if config.local_rope_theta is None else config.local_rope_theta
        return global_layout, replace(local_layout, rotation=rotation(layout.positions, config.head_width, local_theta))

    def _layout(self, input_ids: Tensor, attention_mask: Tensor | None) -> Layout:
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
        if mask.shape != input_ids.shape:
            raise ValueError(f"attention_mask has shape {list(mask.shape)}, but input_ids {list(input_ids.shape)}")
        layout = (unpadded_layout if self.unpad else padded_layout)(mask)
        longest = self.config.max_position_embeddings
        if len(layout.positions) and (length := 1 + int(layout.positions.max())) > longest:
            raise ValueError(f"a sequence of {length} tokens is longer than max_position_embeddings={longest}")
        return layout
