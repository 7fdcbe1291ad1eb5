"""The part of a loaded checkpoint that needs no head: its encoder, its tokenizer, and embeddings of texts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from bert_lightning.data.labelled.encoding import encode
from bert_lightning.errors import UserError
from bert_lightning.inference.given_texts import Given
from bert_lightning.inference.text_tokens import text_tokens
from bert_lightning.model.attention_weights import attention_weights
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.runtime.matmul_precision import OneDnnProducts
from bert_lightning.tasks.embedding_settings import embedding_settings
from bert_lightning.tasks.text_embeddings import Embeddings, embeddings
from bert_lightning.text.tokenizers.special_tokens import SpecialIds

_PRECISIONS = ("32-true", "bf16-mixed")
Loaded = TypeVar("Loaded", bound="LoadedEncoder")


class Attention(NamedTuple):
    """The attention weights of one text."""

    tokens: list[str]
    weights: npt.NDArray[np.float32]  # [layers, heads, S, S]


class LoadedEncoder:
    """The encoder and the tokenizer of a checkpoint, and what they do without a head.

    Args:
        source: the checkpoint.
        device: a device of torch; None: a GPU if there is one.
        precision: `32-true`, or `bf16-mixed` for matrix products in bfloat16, as in `trainer.precision`.

    Raises:
        UserError: if there is no such device or precision.
    """

    def __init__(
        self, source: PretrainedWeights, device: str | torch.device | None = None, precision: str = "32-true"
    ) -> None:
        if precision not in _PRECISIONS:
            raise UserError(f"precision={precision!r} must be one of {', '.join(_PRECISIONS)}")
        self.precision = precision
        self.path, self.tokenizer = source.path, source.tokenizer
        self.model = source.encoder().eval().to(_device(device))
        self.max_length = int(source.metadata.get("max_length") or source.config.max_position_embeddings)
        heads = {name: tensor for name, tensor in source.tensors.items() if not name.startswith("encoder.")}
        self._source = replace(source, tensors=heads)  # the encoder has its own copy of the others

    @property
    def device(self) -> torch.device:
        """Return the device of the weights."""
        return self.model.embeddings.word.weight.device

    def to(self: Loaded, device: str | torch.device) -> Loaded:
        """Move the weights to a device, and return this object.

        Raises:
            UserError: if there is no such device.
        """
        self.model.to(_device(device))
        for name in ("answerer", "mask_filler"):  # made again there at their next use
            self.__dict__.pop(name, None)
        return self

    def embed(
        self,
        texts: Any,
        pooling: str | None = None,
        layer: int = -1,
        normalize: bool | None = None,
        batch_size: int = 32,
        max_length: int | None = None,
        progress: bool | None = None,
    ) -> Embeddings:
        """Return the embedding of each text as an array of float32: [N, H] for a list, [H] for one text.

        Args:
            texts: a text, or a list of texts.
            pooling: `mean` over all tokens with [CLS] and [SEP], as sentence-transformers does; `cls` for the first
                token; `max` over all tokens; None: the pooling that the checkpoint was trained with, or else `mean`.
            layer: the layer whose hidden states are pooled: 0 for the embeddings of the tokens, n for layer n, -1 for
                the last layer.
            normalize: whether each vector is scaled to length 1; None: if the checkpoint was trained for embeddings.
            batch_size: the maximal number of texts in a batch.
            max_length: the maximal number of tokens in a text; None: `self.max_length`.
            progress: whether a progress bar is shown.

        Raises:
            UserError: if there is no such pooling or layer, or the encoder has fewer positions than `max_length`.
        """
        given = Given.texts(texts)
        length, longest = (
            self.max_length if max_length is None else max_length,
            self.model.config.max_position_embeddings,
        )
        if not isinstance(length, int) or not 3 <= length <= longest:
            raise UserError(f"max_length={length!r} must be from 3 to the encoder's positions, {longest}")
        sequences = encode(given.items, self.tokenizer, length)
        warn_of_cuts(sum(tokens.is_cut for tokens in sequences), len(sequences), length)
        pad, trained = SpecialIds.of(self.tokenizer).pad, embedding_settings(self._source)
        pooling = trained.pooling if pooling is None else pooling
        normalize = trained.normalize if normalize is None else normalize
        with self._computing():
            found = embeddings(self.model, sequences, pad, pooling, layer, normalize, batch_size, progress)
        result: Embeddings = given.shaped(found)  # type: ignore[arg-type]
        return result

    def attention(self, text: Any, max_length: int | None = None) -> Attention:
        """Return how much each token of a text attends to each other one, in every layer and head.

        Args:
            text: a text, or a tuple of two texts, which are one sequence.
            max_length: the maximal number of tokens; None: `self.max_length`.

        Returns:
            `tokens`, the S tokens in writing, and `weights`, an array [layers, heads, S, S] of float32. Each row, which
            has the weights of one query, sums to 1.

        Raises:
            UserError: if the text is none or is empty.
        """
        found = text_tokens(text, self.tokenizer, max_length or self.max_length)
        warn_of_cuts(int(found.sequence.is_cut), 1, max_length or self.max_length)
        ids, types = (
            torch.from_numpy(part).long().to(self.device) for part in (found.sequence.ids, found.sequence.types)
        )
        with self._computing():
            weights = attention_weights(self.model, ids, types)
        return Attention(found.names, torch.stack(weights).cpu().numpy())

    def similarity(self, a: Any, b: Any, pooling: str | None = None, batch_size: int = 32) -> Any:
        """Return the cosine of the embeddings of every text in `a` with every text in `b`.

        Args:
            a: a text, a list of N texts, or an array of their embeddings.
            b: a text, a list of M texts, or an array of their embeddings.
            pooling: the pooling, as for `embed`.
            batch_size: the maximal number of texts in a batch.

        Returns:
            an array [N, M] of float32. One text instead of a list leaves out its dimension. Two texts give a float.
        """
        left, right = (self._directions(given, pooling, batch_size) for given in (a, b))
        cosines = left @ right.T
        return float(cosines) if cosines.ndim == 0 else cosines

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Compute in the precision of this model, and in float32 by the fastest library that is exact."""
        in_bf16 = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16-mixed")
        with OneDnnProducts(self.device), in_bf16:
            yield

    def _directions(self, given: Any, pooling: str | None, batch_size: int) -> Embeddings:
        """Return embeddings of length 1, of texts or of embeddings that were computed before."""
        is_array = isinstance(given, np.ndarray) and given.dtype.kind == "f"
        found: Embeddings = given if is_array else self.embed(given, pooling, batch_size=batch_size)
        lengths = np.linalg.norm(found, axis=-1, keepdims=True)
        scaled: Embeddings = found / np.maximum(lengths, np.float32(1e-12))
        return scaled


def warn_of_cuts(cut: int, total: int, length: int) -> None:
    """Warn that texts were cut to the maximal length, if any were."""
    if cut:
        warnings.warn(f"{cut} of {total} texts are longer than {length} tokens and cut to them", stacklevel=3)


def _device(device: str | torch.device | None) -> torch.device:
    """Return a device of this machine; a GPU if there is one and `device` is None."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError, TypeError) as error:  # torch without CUDA raises AssertionError
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"device={device!r} cannot be used ({reason}): give 'cpu', or a GPU such as 'cuda:0'") from None
