"""Replaced-token detection: a small generator fills in masks, and the encoder finds what it got wrong.

Clark et al. 2020, "ELECTRA", https://arxiv.org/abs/2003.10555. Two objectives in one list: the generator's loss (weight
1 in the paper) and the detection (weight 50). The generator writes the batch that the encoder reads.
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
    """A masked language model of its own, whose guesses replace the hidden words in what the encoder reads.

    Nothing of the encoder's loss reaches it: a sampled word has no gradient.

    Args:
        config: the encoder's; the generator's follows from it.
        width: hidden size, heads and feed-forward as a share of the encoder's.
        fields: fields of the generator's config that are given instead, as `num_hidden_layers: 6`.
        sharing: "tied": all embeddings but their projection are the encoder's own (google-research/electra);
            "disentangled": the encoder reads the generator's word embeddings plus a table of its own, and its loss
            moves that table alone (He et al. 2023, DeBERTaV3, section 3.2); "none": two sets of embeddings.
        weight: factor of its loss.

    Raises:
        UserError: values that make no generator, or embeddings that cannot be shared.
    """

    reads = ("masked_positions", "masked_labels", "masked_draws")
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

    def attach(self, encoder: BERT, terms: Mapping[str, Objective]) -> None:
        _SHARING[self.sharing](self.encoder, encoder)

    def inputs(self, encoder: BERT, batch: Batch) -> Batch:
        positions, labels = batch["masked_positions"], batch["masked_labels"]
        hidden = self.encoder(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"], positions)
        logits = self.head(hidden, self.encoder.embeddings.word.weight)  # [M, H] -> [M, V]
        words = sample(logits.detach(), batch["masked_draws"])
        ids, replaced = batch["input_ids"].clone(), torch.zeros_like(batch["input_ids"])
        ids.view(-1)[positions] = words
        replaced.view(-1)[positions] = (words != labels).long()  # the right guess is no replacement
        return {**batch, "input_ids": ids, "replaced": replaced, "generator_logits": logits}

    def count(self, batch: Batch) -> int:
        return len(batch["masked_labels"])

    def forward(self, hidden: Tensor, encoder: BERT, batch: Batch) -> Term:
        logits, labels = batch["generator_logits"], batch["masked_labels"]
        return Term(mean_cross_entropy(logits, labels), logits, labels)


class ReplacedTokens(Objective):
    """Tell for each token whether it was replaced (1) or is the author's (0). Clark et al. 2020, equation 2."""

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
    """A config `width` times as wide, with heads as wide as the encoder's (google-research/electra, 64 there).

    Raises:
        UserError: a width outside (0, 1], or values that do not fit each other.
    """
    if not 0 < width <= 1:
        raise UserError(f"width={width} of the generator is a share of the encoder's: above 0 and at most 1")
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
        raise UserError(f"the generator of width={width}: {error}") from None


def sample(logits: Tensor, draws: Tensor) -> Tensor:
    """A word from each row's softmax, [M, V] -> [M], by the inverse of the cumulative distribution.

    One random number a row, `draws` [M], which the batch holds: so the words do not depend on the rank that samples
    them. torch.multinomial and Gumbel noise draw one for each of the V words.
    """
    cumulative = logits.float().softmax(-1).cumsum(-1)
    drawn = draws[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, drawn, right=True)[:, 0].clamp(max=logits.size(-1) - 1)  # u may round to 1


class _PlusDetached(nn.Module):
    """A table seen as itself plus another, which gets no gradient."""

    def __init__(self, other: nn.Embedding) -> None:
        super().__init__()
        self.others = (other,)  # in a tuple: its parameters stay the generator's

    def forward(self, own: Tensor) -> Tensor:
        return own + self.others[0].weight.detach()


def _tie(generator: BERT, encoder: BERT) -> None:
    _check_embeddings(generator, encoder)
    for name, part in encoder.embeddings.named_children():
        if name != "projection":  # from the embeddings' width to the encoder's own
            setattr(generator.embeddings, name, part)


def _disentangle(generator: BERT, encoder: BERT) -> None:
    _check_embeddings(generator, encoder)
    word = encoder.embeddings.word
    with torch.no_grad():
        generator.embeddings.word.weight.copy_(word.weight)  # so that the sum is what the encoder starts from
        word.weight.zero_()
    parametrize.register_parametrization(word, "weight", _PlusDetached(generator.embeddings.word), unsafe=True)
    # A checkpoint also holds the sum, under the name that every reader of an encoder knows.
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
    """Nothing is shared."""


_SHARING = {"tied": _tie, "disentangled": _disentangle, "none": _separate}
