"""The architecture as one sealed value: everything needed to rebuild an encoder, nothing about training it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class BertConfig:
    """Sizes of a BERT encoder (Devlin et al. 2019, section 3). Defaults are those of BERT-base, uncased.

    Every field is checked at construction, so that a wrong value is named here and not by a tensor error much later.

    Raises:
        TypeError: a field has the wrong type (``hidden_size=(768,)``).
        ValueError: a field is out of range, or two fields do not fit each other.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    dropout_rate: float = 0.1
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            # The annotations are strings here (`from __future__ import annotations`).
            check = _check_size if field.type == "int" else _check_real
            check(field.name, value)
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size={self.hidden_size} must be a multiple of num_attention_heads={self.num_attention_heads}: "
                f"try num_attention_heads={_nearest_divisor(self.hidden_size, self.num_attention_heads)}"
            )
        if not 0 <= self.dropout_rate < 1:
            raise ValueError(f"dropout_rate={self.dropout_rate} must be at least 0 and below 1")

    def to_dict(self) -> dict[str, int | float]:
        """The fields as plain data: what a checkpoint stores."""
        return asdict(self)


def _check_size(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        hint = ""
        if isinstance(value, (tuple, list)) and len(value) == 1:
            hint = f": write {name}={value[0]!r} (a trailing comma makes a tuple)"
        elif isinstance(value, float) and value.is_integer():
            hint = f": write {name}={int(value)}"
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}; it must be a whole number{hint}")
    if value < 1:
        raise ValueError(f"{name}={value} must be 1 or more")


def _check_real(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}; it must be a number")
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name}={value} must be finite and not negative")


def _nearest_divisor(number: int, wanted: int) -> int:
    return min((d for d in range(1, number + 1) if number % d == 0), key=lambda divisor: abs(divisor - wanted))
