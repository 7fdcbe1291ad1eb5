"""Predict every token of a text from the others: mask each place in turn, as the pseudo-log-likelihood does."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from bert_lightning.inference.mask_filling import FillMask
from bert_lightning.inference.text_tokens import TextTokens, written_token
from bert_lightning.tasks.answering import check_numbers

_BATCH_TOKENS = 8192


@torch.inference_mode()
def token_predictions(fill: FillMask, text: TextTokens, top_k: int) -> list[dict[str, Any]]:
    """Return a row for each token but [CLS] and [SEP], in the order of the text.

    A row is `{"position": int, "token": str, "probability": float, "bits": float, "predictions": [{"word": str,
    "probability": float}, ...]}`. `bits` is the surprisal, -log2 of the probability of the token where it alone is
    masked. A [MASK] of the text has no right answer: its `probability` and `bits` are None.

    Args:
        fill: what fills in masked tokens.
        text: the tokens.
        top_k: the number of predicted words.

    Raises:
        UserError: if the vocabulary has fewer words, or a score is not a number.
    """
    fill.check_top_k(top_k)
    device = fill.encoder.embeddings.word.weight.device
    ids = torch.from_numpy(text.sequence.ids).long().to(device)
    types = torch.from_numpy(text.sequence.types).long().to(device)
    places = [place for place, special in enumerate(text.special) if not special]
    rows: list[dict[str, Any]] = []
    for part in torch.tensor(places, device=device).split(max(1, _BATCH_TOKENS // len(ids))):
        logits = _logits(fill, ids, types, part)  # [M, V]
        check_numbers(fill.path, logits)
        logs = logits[:, : fill.num_words].log_softmax(-1)
        values, words = (found.tolist() for found in logs.topk(top_k))
        own = logs.gather(1, ids[part, None])[:, 0].tolist()
        for number, place in enumerate(part.tolist()):
            known, log = int(ids[place]) != fill.mask_id, own[number]
            rows.append(
                {
                    "position": place,
                    "token": text.names[place],
                    "probability": math.exp(log) if known else None,
                    "bits": -log / math.log(2) if known else None,
                    "predictions": [
                        {"word": written_token(fill.tokenizer, word), "probability": math.exp(value)}
                        for value, word in zip(values[number], words[number], strict=True)
                    ],
                }
            )
    return rows


def _logits(fill: FillMask, ids: Tensor, types: Tensor, places: Tensor) -> Tensor:
    """Return the logits at M places, each of a copy in which it is masked, [M, V]."""
    rows = torch.arange(len(places), device=ids.device)
    copies = ids.repeat(len(places), 1)  # [M, S]
    copies[rows, places] = fill.mask_id
    hidden = fill.encoder(copies, types.expand_as(copies), None, rows * len(ids) + places)  # [M, H]
    logits: Tensor = fill.head(hidden, fill.encoder.embeddings.word.weight).float()
    return logits
