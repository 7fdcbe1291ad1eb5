"""Where training starts from: the weights of another run or checkpoint, for further pretraining and for students."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from tokenizers import Tokenizer
from torch import nn

from bert_lightning.errors import UserError
from bert_lightning.model.encoder import BERT
from bert_lightning.runs.checkpoint import PretrainedWeights, load

_BLOCK = re.compile(r"^encoder\.blocks\.(\d+)\.")


def teacher(location: str | None) -> PretrainedWeights:
    """The weights that a student learns from. Raises UserError where none are named."""
    if location is None:
        raise UserError("this objective needs a teacher: give teacher=<a run's folder or a Hugging Face folder>")
    return load(location)


def start_from(source: PretrainedWeights, tokenizer: Tokenizer, encoder: BERT, objective: nn.Module) -> None:
    """Give `encoder` the weights of `source`, and `objective` those of its heads that `source` has.

    An encoder of fewer layers takes layers spread evenly over the source's, the first and the last among them: 0, 2, 4,
    7, 9 and 11 of 12 for a student of 6, as DistilBERT did (huggingface/transformers, `extract_distilbert.py`).

    Raises:
        UserError: another vocabulary, a deeper encoder, or a tensor that is missing or has another shape there.
    """
    if source.tokenizer.get_vocab() != tokenizer.get_vocab():
        raise UserError(
            f"start: {source.path} has another vocabulary: use its own, tokenizer=files tokenizer.path={source.path}"
        )
    layers = picked(_depth(source.tensors), _depth(f"encoder.{name}" for name in encoder.state_dict()))
    tensors = {name: tensor for name, tensor in source.tensors.items() if not _BLOCK.match(name)}
    for name, tensor in source.tensors.items():
        if found := _BLOCK.match(name):
            places = [ours for ours, theirs in enumerate(layers) if theirs == int(found[1])]
            tensors.update({f"encoder.blocks.{ours}.{name[found.end() :]}": tensor for ours in places})
    replace(source, tensors=tensors).fill(encoder, "encoder.")
    shapes = {name: tensor.shape for name, tensor in objective.state_dict().items()}
    ours = {name.removeprefix("objective."): tensor for name, tensor in tensors.items()}
    objective.load_state_dict({n: t for n, t in ours.items() if n in shapes and t.shape == shapes[n]}, strict=False)


def picked(source_layers: int, layers: int) -> list[int]:
    """Which of the source's layers an encoder of `layers` layers starts from."""
    if layers > source_layers:
        raise UserError(f"start: {layers} layers are more than the {source_layers} of the encoder to start from")
    if layers == 1:
        return [source_layers - 1]
    return [round(i * (source_layers - 1) / (layers - 1)) for i in range(layers)]


def _depth(names: Iterable[str]) -> int:
    return 1 + max((int(found[1]) for name in names if (found := _BLOCK.match(name))), default=-1)
