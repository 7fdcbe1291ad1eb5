"""The base class of all objectives, and the joint objective whose loss is a weighted sum."""

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
from bert_lightning.model.heads import (
    MaskedLMHead,
    NextSentenceHead,
    ReplacedTokenHead,
    SequenceClassificationHead,
    SpanHead,
    TokenClassificationHead,
)
from bert_lightning.ranges import NotEmpty, NotNegative

Batch = Mapping[str, Any]
# Head class -> its name in checkpoints. The names are part of the checkpoint format.
HEAD_TYPES: dict[type[nn.Module], str] = {
    MaskedLMHead: "masked_lm",
    NextSentenceHead: "next_sentence",
    ReplacedTokenHead: "replaced_token",
    SequenceClassificationHead: "sequence_classification",
    TokenClassificationHead: "token_classification",
    SpanHead: "span",
}


@dataclass(frozen=True)
class Term:
    """The result of one objective for a batch: the mean loss over n predictions, and logits and targets for metrics."""

    loss: Tensor  # [], mean over the n predictions
    logits: Tensor  # [n, C], logits of the classes; [n] for a binary question
    targets: Tensor  # [n]


class Objective(nn.Module):
    """An objective: a head and its loss over the encoder's hidden states. Subclasses implement `forward` and `count`.

    Args:
        weight: factor of this loss in a joint objective.

    Raises:
        UserError: if the weight is negative.
    """

    reads: tuple[str, ...] = ()  # keys of the batch that this objective needs in addition to the encoder's inputs
    writes: tuple[str, ...] = ()  # keys that `inputs` adds to the batch for other objectives

    def __init__(self, weight: NotNegative = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise UserError(f"weight={weight} of a loss must be 0 or more")
        self.weight = weight

    @property
    def head_type(self) -> str | None:
        """Return the type of `head`, a value of `HEAD_TYPES`; None if only this objective can use the head.

        `predict`, `export`, distillation and runs that start from these weights find a head by its type, not by the
        name of its term. A head of another class has no type, and neither has one that does not read the encoder's
        hidden states.
        """
        head = getattr(self, "head", None)
        return None if head is None else HEAD_TYPES.get(type(head))

    def attach(self, encoder: BERT, terms: Mapping[str, Objective]) -> None:
        """Share parameters with the encoder or with other terms. This method is called once, before training."""

    def check(self, tokenizer: Tokenizer, max_length: int) -> None:
        """Check that the objective supports this tokenizer, and sequences of up to `max_length` tokens.

        Raises:
            UserError: if it does not.
        """

    def inputs(self, encoder: BERT, batch: Batch) -> Batch:
        """Return the batch for the encoder and all objectives, possibly with other inputs or additional keys."""
        return batch

    def count(self, batch: Batch) -> int:
        """Return the number of predictions over which the loss is a mean. The default is one per sequence."""
        return len(batch["input_ids"])

    def encode(self, encoder: BERT, batch: Batch) -> Tensor | None:
        """Return what `forward` reads instead of hidden states, from passes of its own; None: hidden states."""
        return None

    def positions(self, batch: Batch) -> Tensor | None:
        """Return the positions whose hidden states this objective reads, [M] int64; None: all positions.

        Positions are indices into the flattened batch [B * S]. The encoder's last layer computes only positions that
        some objective reads.
        """
        return None

    def forward(self, hidden: Tensor, encoder: BERT, batch: Batch) -> Term:
        """Return the loss and the predictions for a batch.

        `hidden` is [M, H] at `positions`, or [B, S, H]. `batch` has the keys that `data/batch.py` declares.
        """
        raise NotImplementedError


class JointObjective(nn.Module):
    """A joint objective: several objectives that share one forward pass of the encoder. Its loss is a weighted sum.

    Args:
        config: the config of the encoder.
        terms: name of each objective -> function that makes it from the config.
    """

    def __init__(
        self, config: BertConfig, terms: Annotated[Mapping[str, Callable[[BertConfig], Objective]], NotEmpty()]
    ) -> None:
        super().__init__()
        self.terms = nn.ModuleDict({name: make(config) for name, make in terms.items()})

    def attach(self, encoder: BERT) -> None:
        """Let every objective share parameters with the encoder and the others. Call this once, before training."""
        for objective in self.objectives().values():
            objective.attach(encoder, self.objectives())

    def check(self, tokenizer: Tokenizer, max_length: int, keys: Iterable[str]) -> None:
        """Check before training that the objectives fit the batches and the tokenizer.

        Args:
            tokenizer: the tokenizer of the run.
            max_length: the length of the longest sequence.
            keys: the keys of the batches.

        Raises:
            UserError: if an objective reads a key that neither the examples nor another objective writes, or if it
                does not support the tokenizer or the length.
        """
        available = {*keys, *(key for objective in self.objectives().values() for key in objective.writes)}
        for name, objective in self.objectives().items():
            for key in objective.reads:
                if key not in available:
                    raise UserError(
                        f"objective.terms.{name} needs {key}, which neither these examples nor another term makes: "
                        f"choose other examples=..., or another objective=..."
                    )
            objective.check(tokenizer, max_length)

    def counts(self, batch: Batch) -> dict[str, int]:
        """Return the number of predictions of each term in a batch."""
        return {name: objective.count(batch) for name, objective in self.objectives().items()}

    def forward(self, encoder: BERT, batch: Batch) -> tuple[Tensor, dict[str, Term]]:
        """Return the loss to minimize, and its terms by name. The loss is the weighted sum of the terms.

        Each term is a mean over its predictions in the batch. With gradient accumulation, an update has several
        batches, and `mean_counts` in the batch is their mean number of predictions. Each term is then also multiplied
        by its number of predictions divided by that mean. So the mean of the batches' losses is the loss over all
        predictions of the update.
        """
        objectives = self.objectives()
        for objective in objectives.values():
            batch = objective.inputs(encoder, batch)
        own = {name: objective.encode(encoder, batch) for name, objective in objectives.items()}
        shared = [name for name, states in own.items() if states is None]
        if shared:
            positions = [objectives[name].positions(batch) for name in shared]
            own |= dict(zip(shared, hidden_states(encoder, batch, positions), strict=True))
        terms = {name: objective(own[name], encoder, batch) for name, objective in objectives.items()}
        shares = self.shares(batch)
        weighted = [objectives[name].weight * shares[name] * term.loss for name, term in terms.items()]
        return torch.stack(weighted).sum(), terms

    def objectives(self) -> dict[str, Objective]:
        """Return name -> objective. It is `terms` with the type that mypy needs."""
        return dict(self.terms.items())  # type: ignore[arg-type]

    def head_types(self) -> dict[str, str]:
        """Return the type of each head that other runs can use, by the name of its term. Checkpoints store this."""
        return {name: kind for name, objective in self.objectives().items() if (kind := objective.head_type)}

    def masked_lm_head(self) -> MaskedLMHead | None:
        """Return the first head that predicts masked tokens from the encoder's hidden states; None if there is none."""
        wanted = HEAD_TYPES[MaskedLMHead]
        found: Any = next((each.head for each in self.objectives().values() if each.head_type == wanted), None)
        return found

    def shares(self, batch: Batch) -> dict[str, float]:
        """Return a factor for each term: its number of predictions divided by the mean over the update's batches.

        The factor is 1 if the update has one batch.
        """
        if "mean_counts" not in batch:
            return dict.fromkeys(self.terms, 1.0)
        means = batch["mean_counts"]
        return {name: count / max(means[name], 1e-9) for name, count in self.counts(batch).items()}


def hidden_states(encoder: BERT, batch: Batch, positions: Sequence[Tensor | None]) -> list[Tensor]:
    """Run the encoder once, and return the hidden states that each objective reads.

    `positions` has one entry for each objective. The hidden states are [M, H] at these positions, or [B, S, H] if the
    entry is None.
    """
    inputs = batch["input_ids"], batch["token_type_ids"], batch["attention_mask"]
    some = [entry for entry in positions if entry is not None]
    if len(some) == len(positions):
        return list(encoder(*inputs, torch.cat(some)).split([len(entry) for entry in some]))
    hidden = encoder(*inputs)
    return [hidden if entry is None else hidden.flatten(0, 1)[entry] for entry in positions]


def first_token_positions(batch: Batch) -> Tensor:
    """Return the position of each row's first token, [CLS], in the flattened batch [B * S]: [B]."""
    rows, length = batch["input_ids"].shape
    return torch.arange(0, rows * length, length, device=batch["input_ids"].device)
