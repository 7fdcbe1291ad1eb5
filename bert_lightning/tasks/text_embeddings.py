"""Compute embeddings of texts: the hidden states of one layer, pooled to one vector for each text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from bert_lightning.data.labelled.encoding import TokenSequence, collate
from bert_lightning.errors import UserError
from bert_lightning.model.encoder import BERT
from bert_lightning.model.heads import POOLINGS
from bert_lightning.tasks.length_batches import length_batches

Embeddings = npt.NDArray[np.float32]


@torch.inference_mode()
def embeddings(
    encoder: BERT,
    sequences: Sequence[TokenSequence],
    pad: int,
    pooling: str,
    layer: int,
    normalize: bool,
    batch_size: int,
    show: bool | None,
) -> Embeddings:
    """Return the embeddings of token sequences, [N, H] float32, in their order.

    Args:
        encoder: the encoder, on the device where it runs.
        sequences: the token sequences.
        pad: id of the padding token.
        pooling: `mean` over all tokens, `cls` for the first token, or `max` over all tokens.
        layer: 0 for the embeddings of the tokens, n for the n-th layer; negative numbers count from the last.
        normalize: whether each vector is scaled to length 1.
        batch_size: the maximal number of sequences in a batch; see `length_batches`.
        show: whether a progress bar is shown; None: if standard error is a terminal.

    Raises:
        UserError: if there is no such pooling or layer.
    """
    if pooling not in POOLINGS:
        raise UserError(f"pooling={pooling!r} must be one of {', '.join(POOLINGS)}")
    last = encoder.config.num_hidden_layers
    if not isinstance(layer, int) or not -last - 1 <= layer <= last:
        raise UserError(
            f"layer={layer!r} must be from 0 (the embeddings) to {last}, or from -1 (the last) to {-last - 1}"
        )
    device = encoder.embeddings.word.weight.device
    result = np.empty((len(sequences), encoder.config.hidden_size), np.float32)
    for chosen in length_batches([len(tokens.ids) for tokens in sequences], batch_size, device, show):
        batch = collate([sequences[index] for index in chosen], pad)
        ids, types, mask = (batch[key].to(device) for key in ("input_ids", "token_type_ids", "attention_mask"))
        if layer % (last + 1) == last:
            hidden = encoder(ids, types, mask)  # [B, S, H]
        else:
            hidden = next(islice(encoder.layer_states(ids, types, mask), layer % (last + 1), None))
        pooled = POOLINGS[pooling](hidden.float(), mask)  # [B, H]
        result[chosen] = (F.normalize(pooled, dim=-1) if normalize else pooled).cpu().numpy()
    return result
