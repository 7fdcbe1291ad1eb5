"""What a loss is made of, and how several become one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

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

    def positions(self, batch: Mapping[str, Any]) -> Tensor | None:
        """The places whose vectors this objective reads, [M] int64 into the flattened [B * S]; None: all.

        Where no objective reads the rest, the encoder's last layer leaves it out.
        """
        return None

    def forward(self, hidden: Tensor, encoder: BERT, batch: Mapping[str, Any]) -> Term:
        """`hidden` is [M, H] at `positions`, or [B, S, H]; `batch` holds what `data/batch.py` declares."""
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
        objectives = cast("Mapping[str, Objective]", self.terms)
        parts = hidden_states(encoder, batch, [objective.positions(batch) for objective in objectives.values()])
        terms = {
            name: objective(hidden, encoder, batch)
            for (name, objective), hidden in zip(objectives.items(), parts, strict=True)
        }
        return torch.stack([self.terms[name].weight * term.loss for name, term in terms.items()]).sum(), terms


def hidden_states(encoder: BERT, batch: Mapping[str, Any], positions: Sequence[Tensor | None]) -> list[Tensor]:
    """What each of several readers sees of one pass: [M, H] at its positions, or [B, S, H] for None."""
    inputs = batch["input_ids"], batch["token_type_ids"], batch["attention_mask"]
    chosen = [places for places in positions if places is not None]
    if len(chosen) == len(positions):
        return list(encoder(*inputs, torch.cat(chosen)).split([len(places) for places in chosen]))
    hidden = encoder(*inputs)
    return [hidden if places is None else hidden.flatten(0, 1)[places] for places in positions]
