"""Extend pretrained weights to a larger vocabulary and to longer sequences than they were trained with."""

from __future__ import annotations

import re
from dataclasses import replace

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from bert_lightning.model.config import BertConfig
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.text.tokenizers.recipes import vocabulary_size

# Tensors with a row for each token: embeddings, and the output matrix and the biases of heads that predict tokens.
_TOKEN_ROWS = re.compile(r"\.word\.weight$|\.decoder\.weight$|\.head\.bias$|^objective\.terms\.\w+\.bias$")
_POSITIONS = "encoder.embeddings.position.weight"


def grown(source: PretrainedWeights, tokenizer: Tokenizer, config: BertConfig, positions: str) -> PretrainedWeights:
    """Return pretrained weights that fit a tokenizer with more words, and an encoder with more learned positions.

    The row of a new word is the mean of the rows of its old tokens. Rows of padding, which no token has, are dropped,
    or added as the mean of all rows.

    Args:
        source: the pretrained weights.
        tokenizer: the new tokenizer. If it does not have all tokens of the source's with their ids, nothing is grown.
        config: the config of the new encoder.
        positions: how further positions begin. `tile`: the source's positions again and again (Beltagy et al. 2020,
            section 5). `interpolate`: the source's positions, stretched to the new length.
    """
    before, now = source.tokenizer.get_vocab(), tokenizer.get_vocab()
    if any(now.get(token) != id_ for token, id_ in before.items()):
        return source
    tensors, theirs = dict(source.tensors), source.config
    if len(now) > len(before) or config.vocab_size != theirs.vocab_size:
        known = vocabulary_size(source.tokenizer)
        means_of = _old_tokens(source.tokenizer, tokenizer, config.vocab_size)
        found = [name for name in tensors if _TOKEN_ROWS.search(name) and len(tensors[name]) == theirs.vocab_size]
        tensors |= {name: _with_rows(tensors[name], known, means_of) for name in found}
    longest = theirs.max_position_embeddings
    if "learned" == theirs.positions == config.positions and config.max_position_embeddings > longest:
        table, offset = tensors[_POSITIONS], theirs.position_offset
        more = _longer(table[offset:], config.max_position_embeddings, positions)
        tensors[_POSITIONS] = torch.cat([table[:offset], more])
        longest = config.max_position_embeddings
    grown_config = replace(theirs, vocab_size=config.vocab_size, max_position_embeddings=longest)
    return replace(source, tensors=tensors, config=grown_config, tokenizer=tokenizer)


def _old_tokens(before: Tokenizer, now: Tokenizer, count: int) -> list[list[int]]:
    """Return for each row beyond those of the old tokens, of `count` in all, the old tokens that it is the mean of."""
    known = vocabulary_size(before)
    tokens = {id_: token for token, id_ in now.get_vocab().items() if id_ >= known}
    pieces = [before.model.tokenize(tokens[id_]) if id_ in tokens else [] for id_ in range(known, count)]
    return [[piece.id for piece in of_one] or list(range(known)) for of_one in pieces]


def _with_rows(table: Tensor, known: int, means_of: list[list[int]]) -> Tensor:
    """Return the first `known` rows of a table, and after them the means of some of these rows."""
    return torch.cat([table[:known], *(table[rows].mean(0, keepdim=True) for rows in means_of)])


def _longer(table: Tensor, length: int, how: str) -> Tensor:
    """Return a table of `length` positions, [P, H] -> [length, H]."""
    if how == "tile":
        return table.repeat(-(-length // len(table)), 1)[:length]
    return F.interpolate(table.T[None], length, mode="linear", align_corners=True)[0].T.contiguous()
