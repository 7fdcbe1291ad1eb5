"""What a loss is made of, and how several become one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT


@dataclass(frozen=True)
class Term:
    """One objective's part of a step: n predictions, their loss, and what is needed to measure them."""

    loss: Tensor  # [], mean over the n predictions
    logits: Tensor  # [n, C], the scores of the classes
    targets: Tensor  # [n]


class Objective(nn.Module):
    """A head and its loss over the encoder's hidden states. Subclasses implement `forward`.

    Args:
        weight: factor of this loss in a joint objective.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, hidden: Tensor, encoder: BERT, batch: Mapping[str, Any]) -> Term:
        """`hidden` is [B, S, H]; `batch` holds what `data/batch.py` declares."""
        raise NotImplementedError


class JointObjective(nn.Module):
    """Objectives that share one pass of the encoder; the loss is their weighted sum.

    Args:
        config: the encoder's.
        terms: for each objective what makes it from the config.
    """

    def __init__(self, config: BertConfig, terms: Mapping[str, Callable[[BertConfig], Objective]]) -> None:
        super().__init__()
        self.terms = nn.ModuleDict({name: make(config) for name, make in terms.items()})

    def forward(self, encoder: BERT, batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Term]]:
        """The loss to minimise, and the terms it is made of."""
        hidden = encoder(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"])
        terms = {name: objective(hidden, encoder, batch) for name, objective in self.terms.items()}
        return torch.stack([self.terms[name].weight * term.loss for name, term in terms.items()]).sum(), terms
