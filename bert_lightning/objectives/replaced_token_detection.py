"""Replaced-token detection: a small generator fills in masked tokens, and the encoder detects its wrong guesses.

Clark et al. 2020, "ELECTRA", https://arxiv.org/abs/2003.10555. Two objectives work together: `Generator` (weight 1 in
the paper) and `ReplacedTokenDetection` (weight 50). The generator changes the encoder's input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import MaskedLMHead, ReplacedTokenHead
from bert_lightning.objectives.base import Batch, Objective, Term
from bert_lightning.objectives.cross_entropy import mean_cross_entropy
from bert_lightning.ranges import NotNegative, Range


class Generator(Objective):
    """A generator: a small masked language model whose samples replace the masked tokens in the encoder's input.

    The encoder's loss does not train the generator, because a sampled token has no gradient.

    Args:
        config: the config of the encoder.
        width: the generator's hidden size, number of heads and feed-forward size, as a fraction of the encoder's.
        fields: other fields of the generator's config, such as `num_hidden_layers: 6`.
        sharing: "tied": the generator uses the encoder's embeddings, except their projection (google-research/electra).
            "disentangled": the encoder's word embeddings are the sum of the generator's and a table of its own. The
            encoder's loss trains only this table (He et al. 2023, DeBERTaV3, section 3.2). "none": nothing is shared.
        weight: factor of the generator's loss.

    Raises:
        UserError: if the values do not make a valid config, or the embeddings cannot be shared.
    """

    reads = ("masked_positions", "masked_labels", "sampling_uniforms")
    writes = ("replaced",)

    def __init__(
        self,
        config: BertConfig,
        width: Annotated[float, Range(above=0, most=1)] = 0.25,
        fields: Mapping[str, Any] | None = None,
        sharing: str = "tied",
        weight: NotNegative = 1.0,
    ) -> None:
        super().__init__(weight)
        if sharing not in _SHARING:
            raise UserError(f"sharing={sharing} of the generator's embeddings must be one of {', '.join(_SHARING)}")
        self.sharing = sharing
        self.encoder = BERT(generator_config(config, width, fields or {}))
        self.head = MaskedLMHead(self.encoder.config)

    @property
    def head_type(self) -> None:
        """Return None: the head reads the hidden states of the generator, not of the encoder."""
        return None

    def attach(self, encoder: BERT, terms: Mapping[str, Objective]) -> None:
        _SHARING[self.sharing](self.encoder, encoder)

    def inputs(self, encoder: BERT, batch: Batch) -> Batch:
        positions, labels = batch["masked_positions"], batch["masked_labels"]
        hidden = self.encoder(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"], positions)
        logits = self.head.padded_logits(hidden, self.encoder.embeddings.word.weight)  # [M, H] -> [M and padding, V]
        words = sample(logits[: len(labels)].detach(), batch["sampling_uniforms"])
        ids, replaced = batch["input_ids"].clone(), torch.zeros_like(batch["input_ids"])
        ids.view(-1)[positions] = words
        replaced.view(-1)[positions] = (words != labels).long()  # a correct guess is not a replacement
        return {**batch, "input_ids": ids, "replaced": replaced, "generator_logits": logits}

    def count(self, batch: Batch) -> int:
        return len(batch["masked_labels"])

    def forward(self, hidden: Tensor, encoder: BERT, batch: Batch) -> Term:
        logits, labels = batch["generator_logits"], batch["masked_labels"]
        return Term(mean_cross_entropy(logits, labels), logits[: len(labels)], labels)


class ReplacedTokenDetection(Objective):
    """Replaced-token detection: predict whether each token was replaced (1) or is original (0).

    Clark et al. 2020, equation 2.
    """

    reads = ("replaced",)

    def __init__(self, config: BertConfig, weight: NotNegative = 50.0) -> None:
        super().__init__(weight)
        self.head = ReplacedTokenHead(config)

    def count(self, batch: Batch) -> int:
        return batch["num_tokens"]

    def forward(self, hidden: Tensor, encoder: BERT, batch: Batch) -> Term:
        real = batch["attention_mask"] > 0
        logits, replaced = self.head(hidden[real]), batch["replaced"][real]  # [B, S, H] -> [T]
        loss = F.binary_cross_entropy_with_logits(logits.float(), replaced.float(), reduction="sum")
        return Term(loss / max(1, replaced.numel()), logits, replaced)


def generator_config(config: BertConfig, width: float, fields: Mapping[str, Any]) -> BertConfig:
    """Return the config of a generator with `width` times the encoder's hidden size, and heads of the same width.

    google-research/electra also keeps the width of a head (64).

    Raises:
        UserError: if the width is outside (0, 1], or values do not fit each other.
    """
    if not 0 < width <= 1:
        raise UserError(f"width={width} of the generator must be above 0 and at most 1, a fraction of the encoder's")
    head_width = config.hidden_size // config.num_attention_heads
    hidden_size = max(1, round(config.hidden_size * width))
    derived: dict[str, Any] = {
        "embedding_size": config.embedding_width,
        "hidden_size": hidden_size,
        "num_attention_heads": max(1, hidden_size // head_width),
        "intermediate_size": max(1, round(config.intermediate_size * width)),
    }
    try:
        return replace(config, **derived | dict(fields))
    except (TypeError, ValueError) as error:
        raise UserError(f"the generator of width={width} has no valid config: {error}") from None


def sample(logits: Tensor, draws: Tensor) -> Tensor:
    """Sample a token from the softmax of each row, [M, V] -> [M], by inverting the cumulative distribution.

    `draws` [M] has one random number in [0, 1] per row, from the batch, so the samples do not depend on the rank.
    torch.multinomial and Gumbel noise would draw one number for each of the V tokens.
    """
    cumulative = logits.float().softmax(-1).cumsum(-1)
    drawn = draws[:, None] * cumulative[:, -1:]
    # A draw may round to 1, which would select a token after the last one.
    return torch.searchsorted(cumulative, drawn, right=True)[:, 0].clamp(max=logits.size(-1) - 1)


class _PlusDetached(nn.Module):
    """A parametrization of an embedding table: its sum with another table. The other table gets no gradient."""

    def __init__(self, other: nn.Embedding) -> None:
        super().__init__()
        self.others = (other,)  # a tuple, so that its parameters are registered in the generator only

    def forward(self, own: Tensor) -> Tensor:
        return own + self.others[0].weight.detach()


def _tie(generator: BERT, encoder: BERT) -> None:
    _check_embeddings(generator, encoder)
    for name, part in encoder.embeddings.named_children():
        if name != "projection":  # its output width is the encoder's hidden size, so it cannot be shared
            setattr(generator.embeddings, name, part)


def _disentangle(generator: BERT, encoder: BERT) -> None:
    _check_embeddings(generator, encoder)
    word = encoder.embeddings.word
    with torch.no_grad():
        generator.embeddings.word.weight.copy_(word.weight)  # so that the sum equals the encoder's initial table
        word.weight.zero_()
    parametrize.register_parametrization(word, "weight", _PlusDetached(generator.embeddings.word), unsafe=True)
    # A checkpoint also stores the sum, under the usual key for word embeddings, so that any encoder can load it.
    word.register_state_dict_post_hook(_add_sum)
    word.register_load_state_dict_pre_hook(_drop_sum)


def _add_sum(word: nn.Module, tensors: dict[str, Any], prefix: str, _: Any) -> None:
    tensors[f"{prefix}weight"] = word.weight.detach()  # type: ignore[operator]


def _drop_sum(word: nn.Module, tensors: dict[str, Any], prefix: str, *_: Any) -> None:
    tensors.pop(f"{prefix}weight", None)


def _check_embeddings(generator: BERT, encoder: BERT) -> None:
    ours, theirs = generator.embeddings.word.embedding_dim, encoder.embeddings.word.embedding_dim
    if ours != theirs:
        raise UserError(
            f"the generator's word embeddings are {ours} wide and the encoder's {theirs}, so they cannot be shared: "
            f"set embedding_size={theirs} for both, or sharing=none"
        )


def _separate(generator: BERT, encoder: BERT) -> None:
    """Share nothing between generator and encoder."""


_SHARING = {"tied": _tie, "disentangled": _disentangle, "none": _separate}
