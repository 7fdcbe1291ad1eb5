"""The encoder's architecture as one frozen config, with everything to rebuild it and no training settings."""

from __future__ import annotations

import difflib
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

CHOICES = {
    "activation": ("gelu", "gelu_tanh"),
    "feed_forward": ("plain", "gated"),
    "positions": ("learned", "sinusoidal", "rotary", "none"),
    "norm": ("layer", "rms"),
    "norm_order": ("post", "pre"),
    "classifier_pooling": ("cls", "mean"),
    "classifier_activation": ("tanh", "gelu", "relu"),
}


@dataclass(frozen=True)
class BertConfig:
    """The sizes and parts of an encoder. Defaults are those of BERT-base, uncased (Devlin et al. 2019, section 3).

    Construction checks every field, so a wrong value fails here and not later as an error about tensor shapes.

    Raises:
        TypeError: if a field has the wrong type (``hidden_size=(768,)``).
        ValueError: if a field is out of range, or two fields do not fit each other.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512  # length of the longest sequence, in tokens
    type_vocab_size: int = 2  # number of segments; below 2, token_type_ids are not read
    dropout_rate: float = 0.1
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02

    # Lan et al. 2020 (ALBERT), sections 3.1 and 3.2
    embedding_size: int | None = None  # width of the embeddings; None: hidden_size
    num_hidden_groups: int | None = None  # the consecutive layers of a group share weights; None: no layers share

    activation: str = "gelu"  # gelu: exact (erf); gelu_tanh: the approximation in google-research/bert and ALBERT
    feed_forward: str = "plain"  # gated: GeGLU, Shazeer 2020
    linear_bias: bool = True  # a bias in linear layers; classifiers always have one
    # True divides the initial std of the matrices that write to the residual stream by sqrt(2 * num_hidden_layers).
    depth_scaled_init: bool = False

    positions: str = "learned"  # sinusoidal: Vaswani et al. 2017; rotary: Su et al. 2021
    position_offset: int = 0  # row of the position table for the first token; RoBERTa: 2, in a table of 514 rows
    rope_theta: float = 10_000.0
    local_rope_theta: float | None = None  # theta of layers with local attention; None: rope_theta

    # Beltagy et al. 2020 (Longformer), section 3.1
    local_window: int | None = None  # tokens that a token attends to in local layers: half before it, half after it
    global_every: int = 1  # n: layers 0, n, 2n... have global attention

    norm: str = "layer"  # rms: Zhang and Sennrich 2019, without bias
    norm_bias: bool = True
    norm_order: str = "post"  # pre: norm before each sublayer instead of after the residual sum, Xiong et al. 2020
    embedding_norm: bool = True
    final_norm: bool = False  # a norm after the last layer; pre-norm needs it
    first_attention_norm: bool = True  # pre-norm: false drops the norm that directly follows the embedding norm

    mlm_transform: bool = True  # dense layer, activation and norm before the logits over the vocabulary
    mlm_bias: bool = True  # a bias for each token of the vocabulary
    tie_word_embeddings: bool = True  # true: the output matrix of the MLM head is the embedding table
    classifier_pooling: str = "cls"  # input of a classification head: the first token, or the mean of all tokens
    classifier_activation: str = "tanh"  # after the dense layer of a classification head
    classifier_input_dropout: bool = False  # dropout also before the dense layer of a classification head
    classifier_norm: bool = False  # a norm after the activation of a classification head

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            # Field types are strings because of `from __future__ import annotations`.
            kind, _, optional = field.type.partition(" | ")
            if not (optional and value is None):
                _CHECKS[kind](field.name, value)
        self._check_widths()
        self._check_positions()
        self._check_layers()

    @property
    def embedding_width(self) -> int:
        """Return the width of the word embeddings. The MLM head's output matrix has the same input width."""
        return self.embedding_size or self.hidden_size

    @property
    def head_width(self) -> int:
        return self.hidden_size // self.num_attention_heads

    def is_local(self, layer: int) -> bool:
        """Return whether a layer has local attention: tokens attend only to a window around them."""
        return self.local_window is not None and layer % self.global_every != 0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict of plain data, the form that checkpoints store."""
        return asdict(self)

    def _check_widths(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size={self.hidden_size} must be a multiple of num_attention_heads={self.num_attention_heads}: "
                f"try num_attention_heads={_nearest_divisor(self.hidden_size, self.num_attention_heads)}"
            )
        if not 0 <= self.dropout_rate < 1:
            raise ValueError(f"dropout_rate={self.dropout_rate} must be at least 0 and below 1")
        if not self.mlm_transform and self.embedding_width != self.hidden_size:
            raise ValueError(
                f"mlm_transform=False needs equal widths, but hidden_size={self.hidden_size} and "
                f"embedding_size={self.embedding_size}: use mlm_transform=True"
            )

    def _check_positions(self) -> None:
        if self.positions == "rotary" and self.head_width % 2:
            raise ValueError(
                f"positions='rotary' needs heads of even width, but hidden_size={self.hidden_size} / "
                f"num_attention_heads={self.num_attention_heads} is {self.head_width}: change one of them"
            )
        # No stored tensor bounds this size: a sinusoidal table is computed.
        if self.positions == "sinusoidal" and self.max_position_embeddings > 2**20:
            raise ValueError(
                f"max_position_embeddings={self.max_position_embeddings} is too large for positions='sinusoidal': it "
                f"must be {2**20:,} or less"
            )
        if self.position_offset and self.positions != "learned":
            raise ValueError(
                f"position_offset={self.position_offset} needs positions='learned', not positions={self.positions!r}"
            )
        if self.local_rope_theta is not None and (self.positions != "rotary" or self.local_window is None):
            raise ValueError(
                f"local_rope_theta={self.local_rope_theta} needs positions='rotary' and a local_window, "
                f"not positions={self.positions!r} and local_window={self.local_window}"
            )

    def _check_layers(self) -> None:
        groups, layers = self.num_hidden_groups, self.num_hidden_layers
        if groups is not None and layers % groups:
            raise ValueError(
                f"num_hidden_groups={groups} must divide num_hidden_layers={layers}: "
                f"try num_hidden_groups={_nearest_divisor(layers, groups)}"
            )
        if self.local_window is not None:
            if self.local_window > self.max_position_embeddings:
                raise ValueError(
                    f"local_window={self.local_window} is wider than max_position_embeddings="
                    f"{self.max_position_embeddings}: lower it, or leave it out for global attention"
                )
            if self.global_every < 2:
                raise ValueError(
                    f"local_window={self.local_window} has no effect with global_every={self.global_every}: use 2 or "
                    "more"
                )
        if not self.first_attention_norm and (self.norm_order != "pre" or groups is not None):
            raise ValueError(
                "first_attention_norm=False needs norm_order='pre' and layers that share nothing, "
                f"not norm_order={self.norm_order!r} and num_hidden_groups={groups}"
            )


def _check_size(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        hint = ""
        if isinstance(value, (tuple, list)) and len(value) == 1:
            hint = f": write {name}={value[0]!r} (a trailing comma makes a tuple)"
        elif isinstance(value, float) and value.is_integer():
            hint = f": write {name}={int(value)}"
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}; it must be a whole number{hint}")
    if value < (least := _LEAST.get(name, 1)):
        raise ValueError(f"{name}={value} must be {least} or more")
    if value > (most := _MOST.get(name, 2**31 - 1)):
        raise ValueError(f"{name}={str(value)[:40]} is too large: it must be {most:,} or less")


def _check_real(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}; it must be a number")
    if not 0 <= value < 1e38:  # about the largest float32
        raise ValueError(f"{name}={str(value)[:40]} must be finite and not negative")
    if name == "initializer_range" and value == 0:
        raise ValueError(f"{name}={value} must be above 0: with weights of 0 all units would stay equal")


def _check_switch(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name}={value!r} must be true or false")


def _check_choice(name: str, value: Any) -> None:
    if value not in CHOICES[name]:
        near = difflib.get_close_matches(str(value), CHOICES[name], n=1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        error = ValueError if isinstance(value, str) else TypeError
        raise error(f"{name}={value!r} must be one of {', '.join(CHOICES[name])}{hint}")


def _nearest_divisor(number: int, wanted: int) -> int:
    small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    return min(sorted({*small, *(number // d for d in small)}), key=lambda divisor: abs(divisor - wanted))


_LEAST = {"type_vocab_size": 0, "position_offset": 0}
# These limits are far beyond any trained model. The product of any two sizes fits a tensor's index.
_MOST = {"num_hidden_layers": 10_000, "hidden_size": 2**20, "intermediate_size": 2**24}
_CHECKS = {"int": _check_size, "float": _check_real, "bool": _check_switch, "str": _check_choice}
