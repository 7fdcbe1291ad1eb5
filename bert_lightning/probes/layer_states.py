"""Compute the states of every layer of an encoder for the words or the texts of a task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bert_lightning.data.labelled.examples import labelled_batch
from bert_lightning.data.labelled.task_types import TaskType, Unit
from bert_lightning.data.labelled.words import LabelledWords
from bert_lightning.model.encoder import BERT
from bert_lightning.tasks.output import progress
from bert_lightning.text.tokenizers.special_tokens import SpecialIds

States = npt.NDArray[np.float32]


@torch.inference_mode()
def states_of_layers(
    encoder: BERT,
    task_type: TaskType,
    units: Sequence[Unit],
    special: SpecialIds,
    batch_tokens: int,
    bar: bool = True,
) -> States:
    """Return the states of all layers in float32, [L + 1, N, H]. Layer 0 are the embeddings.

    A word has the state of its first token. A text has the mean over its tokens that are not special; a text without
    such tokens has the mean over all.

    Args:
        encoder: the encoder, on the device where it runs.
        task_type: the task type of the units.
        units: examples with one token sequence each.
        special: ids of the special tokens.
        batch_tokens: the number of tokens in a batch, with padding.
        bar: whether a progress bar is shown.
    """
    encoder.eval()
    device = encoder.embeddings.word.weight.device
    counts = np.array([_num_states(task_type, unit) for unit in units])
    starts = counts.cumsum() - counts
    states = np.empty((encoder.config.num_hidden_layers + 1, int(counts.sum()), encoder.config.hidden_size), np.float32)
    batches = [*_batches(units, batch_tokens)]
    for chosen in progress(batches, len(batches)) if bar else batches:
        batch = labelled_batch(task_type, [units[i] for i in chosen], special.pad)
        rows = np.concatenate([np.arange(starts[i], starts[i] + counts[i]) for i in chosen])
        inputs = [batch[key].to(device) for key in ("input_ids", "token_type_ids", "attention_mask")]
        positions = batch.get("word_positions")
        weights = None if positions is not None else _mean_weights(batch["input_ids"], batch["attention_mask"], special)
        for layer, hidden in enumerate(encoder.layer_states(*inputs)):
            hidden = hidden.float().cpu()  # [B, S, H]
            found = hidden.flatten(0, 1)[positions] if weights is None else (weights[:, None] @ hidden)[:, 0]
            states[layer, rows] = found.numpy()
    return states


def _num_states(task_type: TaskType, unit: Unit) -> int:
    return int((unit.sequences[0].first >= 0).sum()) if isinstance(task_type, LabelledWords) else 1


def _batches(units: Sequence[Unit], batch_tokens: int) -> Iterator[list[int]]:
    """Yield the indices of the units of each batch, the shortest first. A batch has at least one unit."""
    lengths = [len(unit.sequences[0].ids) for unit in units]
    batch: list[int] = []
    for index in sorted(range(len(units)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[index] > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _mean_weights(input_ids: Tensor, real: Tensor, special: SpecialIds) -> Tensor:
    """Return the weight of each token in the mean of its text, [B, S]."""
    plain = real & (input_ids != special.cls) & (input_ids != special.sep)
    counted = torch.where(plain.any(1, keepdim=True), plain, real).float()
    return counted / counted.sum(1, keepdim=True)
