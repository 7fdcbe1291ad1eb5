"""What a loss is made of, and how several become one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from bert_lightning.errors import UserError
from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.ranges import NotEmpty, NotNegative

Batch = Mapping[str, Any]


@dataclass(frozen=True)
class Term:
    """One objective's part of a step: n predictions, their loss, and what is needed to measure them."""

    loss: Tensor  # [], mean over the n predictions
    logits: Tensor  # [n, C], the scores of the classes; [n] where yes or no is asked
    targets: Tensor  # [n]


class Objective(nn.Module):
    """A head and its loss over the encoder's hidden states. Subclasses implement `forward` and `count`.

    Args:
        weight: factor of this loss in a joint objective.

    Raises:
        UserError: a negative weight.
    """

    reads: tuple[str, ...] = ()  # keys of the batch that it needs beside the encoder's inputs
    writes: tuple[str, ...] = ()  # keys that its `inputs` adds for others

    def __init__(self, weight: NotNegative = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise UserError(f"weight={weight} of a loss must be 0 or more")
        self.weight = weight

    def attach(self, encoder: BERT, terms: Mapping[str, Objective]) -> None:
        """Share what is shared with the encoder or with another of the `terms`. Called once, before training."""

    def check(self, tokenizer: Tokenizer, max_length: int) -> None:
        """Raises UserError where the objective cannot serve text of this tokenizer or sequences of this length."""

    def inputs(self, encoder: BERT, batch: Batch) -> Batch:
        """The batch that the encoder and all objectives get to see."""
        return batch

    def count(self, batch: Batch) -> int:
        """Predictions that the loss is a mean over; one a sequence unless a subclass says otherwise."""
        return len(batch["input_ids"])

    def positions(self, batch: Batch) -> Tensor | None:
        """The places whose vectors this objective reads, [M] int64 into the flattened [B * S]; None: all.

        Where no objective reads the rest, the encoder's last layer leaves it out.
        """
        return None

    def forward(self, hidden: Tensor, encoder: BERT, batch: Batch) -> Term:
        """`hidden` is [M, H] at `positions`, or [B, S, H]; `batch` holds what `data/batch.py` declares."""
        raise NotImplementedError


class JointObjective(nn.Module):
    """Objectives that share one pass of the encoder; the loss is their weighted sum.

    Args:
        config: the encoder's.
        terms: for each objective what makes it from the config.
    """

    def __init__(
        self, config: BertConfig, terms: Annotated[Mapping[str, Callable[[BertConfig], Objective]], NotEmpty()]
    ) -> None:
        super().__init__()
        self.terms = nn.ModuleDict({name: make(config) for name, make in terms.items()})

    def attach(self, encoder: BERT) -> None:
        """Let every objective share what it shares. Called once, before training."""
        for objective in self.objectives().values():
            objective.attach(encoder, self.objectives())

    def check(self, tokenizer: Tokenizer, max_length: int, keys: Iterable[str]) -> None:
        """Find what cannot work before training. `keys` are those of the batches.

        Raises:
            UserError: an objective reads what neither the examples nor another objective writes, or refuses the text.
        """
        there = {*keys, *(key for objective in self.objectives().values() for key in objective.writes)}
        for name, objective in self.objectives().items():
            for key in objective.reads:
                if key not in there:
                    raise UserError(
                        f"objective.terms.{name} needs {key}, which neither these examples nor another term makes: "
                        f"choose other examples=..., or another objective=..."
                    )
            objective.check(tokenizer, max_length)

    def counts(self, batch: Batch) -> dict[str, int]:
        """Predictions of each term in a batch."""
        return {name: objective.count(batch) for name, objective in self.objectives().items()}

    def forward(self, encoder: BERT, batch: Batch) -> tuple[Tensor, dict[str, Term]]:
        """The loss to minimise, and the terms it is made of.

        Each term is a mean over its predictions in the batch. Where the batch is one of several that make an update,
        `mean_counts` holds the mean number of predictions of these, and the mean of their losses is the loss of the
        update's predictions taken together.
        """
        objectives = self.objectives()
        for objective in objectives.values():
            batch = objective.inputs(encoder, batch)
        parts = hidden_states(encoder, batch, [objective.positions(batch) for objective in objectives.values()])
        terms = {
            name: objective(hidden, encoder, batch)
            for (name, objective), hidden in zip(objectives.items(), parts, strict=True)
        }
        shares = self.shares(batch)
        weighted = [objectives[name].weight * shares[name] * term.loss for name, term in terms.items()]
        return torch.stack(weighted).sum(), terms

    def objectives(self) -> dict[str, Objective]:
        """The terms by name, typed."""
        return dict(self.terms.items())  # type: ignore[arg-type]

    def shares(self, batch: Batch) -> dict[str, float]:
        """What each term counts for in this batch, beside the mean batch of its update; 1 where that is one batch."""
        if "mean_counts" not in batch:
            return dict.fromkeys(self.terms, 1.0)
        means = batch["mean_counts"]
        return {name: count / max(means[name], 1e-9) for name, count in self.counts(batch).items()}


def hidden_states(encoder: BERT, batch: Batch, positions: Sequence[Tensor | None]) -> list[Tensor]:
    """What each of several readers sees of one pass: [M, H] at its positions, or [B, S, H] for None."""
    inputs = batch["input_ids"], batch["token_type_ids"], batch["attention_mask"]
    chosen = [places for places in positions if places is not None]
    if len(chosen) == len(positions):
        return list(encoder(*inputs, torch.cat(chosen)).split([len(places) for places in chosen]))
    hidden = encoder(*inputs)
    return [hidden if places is None else hidden.flatten(0, 1)[places] for places in positions]


def first_tokens(batch: Batch) -> Tensor:
    """The place of each row's first token, [CLS], in the flattened batch [B * S]: [B]."""
    rows, length = batch["input_ids"].shape
    return torch.arange(0, rows * length, length, device=batch["input_ids"].device)
