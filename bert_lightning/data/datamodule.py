"""Data modules: the data loaders of training and validation that Lightning asks for."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from bert_lightning.budget import Budget
from bert_lightning.data.batching.accumulation import CountedBatches
from bert_lightning.data.batching.batch_plan import Leg, Legs
from bert_lightning.data.batching.sampler import Ints, OnceThrough, Positions, StreamBatches
from bert_lightning.data.batching.token_batches import TokenBatches, Windows
from bert_lightning.data.pretraining.examples import PretrainingExamples
from bert_lightning.data.workers import allow_open_files, leave_signals
from bert_lightning.errors import UserError

_ENDLESS = 2**40  # number of batches that no run reaches


class Examples(Protocol):
    """Finished batches, indexed by positions of the training stream. `len` is the number of examples in an epoch."""

    def __len__(self) -> int: ...

    def __getitem__(self, positions: Positions) -> Any: ...

    @property
    def seed(self) -> Any:
        """Return the shuffle seed."""

    @property
    def longest(self) -> int:
        """Return the maximal number of tokens in an example."""

    def lengths(self, positions: Positions) -> Ints:
        """Return the number of tokens in each example at `positions`, [B]."""


class StreamDataModule(pl.LightningDataModule):
    """Loads training batches from an endless stream until the budget is spent, and each validation example once.

    A checkpoint keeps the number of examples that all ranks together have received. A resumed run continues there at
    once, with any number of workers. The number of ranks and the number of accumulated batches may change if their
    product stays the same.

    Args:
        train: training examples, which the stream repeats epoch after epoch.
        validation: validation examples, read in order.
        batch_size: number of sequences in a batch on each rank.
        batch_tokens: maximal number of tokens in a training batch on each rank, with any number of sequences; None for
            batches of `batch_size` sequences.
        validation_examples: maximal number of validation examples that are used; None for all.
        num_workers: number of processes that make batches; the batches do not depend on it.

    Raises:
        UserError: if a number is too small, or the system does not allow so many workers.
    """

    def __init__(
        self,
        train: Examples,
        validation: Examples,
        batch_size: int,
        validation_examples: int | None = None,
        num_workers: int = 0,
        batch_tokens: int | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("num_workers", num_workers, 0),
            ("validation_examples", 1 if validation_examples is None else validation_examples, 1),
            ("batch_tokens", 1 if batch_tokens is None else batch_tokens, 1),
        ):
            if value < least:
                raise UserError(f"{name}={value} must be {least} or more")
        allow_open_files(num_workers)
        self.train, self.validation = train, validation
        self.batch_size, self.num_workers = batch_size, num_workers
        self.windows: Windows | None = None
        if batch_tokens is not None:
            self.windows = Windows(train.lengths, len(train), train.longest, batch_tokens, train.seed)
        self.position = 0  # position in the training stream: number of examples given to all ranks
        self.leg: Leg | None = None  # present leg of training; None before the first
        self.validation_size = min(len(validation), validation_examples or len(validation))

    def train_dataloader(self) -> Legs:
        assert self.trainer is not None, "Lightning attaches the trainer before it asks for loaders"
        budget: Budget = self.trainer.lightning_module.budget  # type: ignore[assignment]
        size = self.trainer.accumulate_grad_batches
        return Legs(
            turn=partial(self._turn, budget, size * self.trainer.world_size),
            batches=partial(self._leg_batches, budget, self.trainer),
            size=size,
            length=_ENDLESS if budget.updates is None else budget.updates * size,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        rank, ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if self.validation_size < ranks:
            raise UserError(
                f"{self.validation_size} validation examples are not enough for {ranks} ranks: one for each"
            )
        batch_size = min(self.batch_size, self.validation_size // ranks)  # Lightning refuses a rank without a batch
        return self._loader(self.validation, OnceThrough(self.validation_size, batch_size, rank, ranks))

    def training_examples(self, leg: Leg) -> Examples:
        """Return the examples of a leg of training."""
        return self.train

    def begun(self, leg: Leg) -> tuple[int, ...]:
        """Return the positions at which phases have begun so far, in this leg or before it."""
        return ()

    @property
    def moments(self) -> tuple[float, ...]:
        """Return the fractions of training at which the examples change."""
        return ()

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Advance the position when training receives a batch; batches that workers made ahead do not count."""
        if self.trainer is not None and self.trainer.training:
            self.position = self._batches.after(self.position)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the training stream: position and leg. It is the same on every rank."""
        return {"position": self.position, "leg": None if self.leg is None else dict(vars(self.leg))}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of the training stream."""
        self.position = state_dict["position"]
        self.leg = None if state_dict["leg"] is None else Leg(**state_dict["leg"])

    def _mean_over_ranks(self, values: Tensor) -> Tensor:
        assert self.trainer is not None
        strategy = self.trainer.strategy
        mean: Tensor = strategy.reduce(values.to(strategy.root_device), reduce_op="mean")
        return mean

    def batches_of_an_epoch(self) -> int:
        """Return the number of batches in one epoch of training, on all ranks together."""
        return -(-len(self.train) // self.batch_size) if self.windows is None else len(self.windows.of_an_epoch())

    def _turn(self, budget: Budget, batches: int) -> bool:
        """Begin a new leg if the spent budget requires other batch settings; return whether it did.

        Args:
            budget: budget of the run.
            batches: number of batches per update, on all ranks together.
        """
        last = self.leg
        moments = sorted({*budget.growth_points, *(self.moments if budget.updates is None else ())})
        if last is not None and bisect_right(moments, last.share) == bisect_right(moments, budget.fraction_spent):
            return False
        pace = math.inf
        if budget.updates is not None:
            pace = budget.updates * batches * self._examples_of_a_batch(budget)
        self.leg = Leg(self.position, budget.fraction_spent, pace, () if last is None else self.begun(last))
        return True

    def _leg_batches(self, budget: Budget, trainer: pl.Trainer) -> DataLoader[Any] | CountedBatches:
        """Return the batches of the present leg, from the present position on."""
        assert self.leg is not None, "a leg has begun"
        examples, ranks = self.training_examples(self.leg), (trainer.global_rank, trainer.world_size)
        if self.windows is None:
            size = budget.batch_size(self.batch_size, self.leg.share)
            self._batches: StreamBatches | TokenBatches = StreamBatches(size, _ENDLESS, *ranks, self.position)
        else:
            windows = replace(self._grown(self.windows, budget, self.leg.share), lengths=examples.lengths)
            self._batches = TokenBatches(replace(windows, begin=self.leg.position), _ENDLESS, *ranks, self.position)
        loader = self._loader(examples, self._batches)
        if trainer.accumulate_grad_batches * trainer.world_size == 1:
            return loader
        counts: Any = trainer.lightning_module.objective.counts  # type: ignore[union-attr]
        return CountedBatches(loader, trainer.accumulate_grad_batches, counts, self._mean_over_ranks)

    def _examples_of_a_batch(self, budget: Budget) -> float:
        """Return the number of examples per batch at the present fraction of the budget.

        If batches are measured in tokens, it is the mean over a sample that covers all of training.
        """
        if self.windows is None:
            return budget.batch_size(self.batch_size, budget.fraction_spent)
        windows = self._grown(self.windows, budget, budget.fraction_spent)
        return windows.examples_of_a_batch(self.training_examples(Leg(share=0.0, pace=windows.trial)).lengths)

    def _grown(self, windows: Windows, budget: Budget, share: float) -> Windows:
        """Return `windows` with the batch size at a fraction of the budget; a batch has room for any example."""
        return replace(windows, budget=max(windows.longest, budget.batch_size(windows.budget, share)))

    def _loader(self, examples: Examples, batches: Sampler[Any]) -> DataLoader[Any]:
        dataset: Dataset[Any] = examples  # type: ignore[assignment]
        return DataLoader(
            dataset,
            sampler=batches,
            batch_size=None,  # the dataset makes whole batches
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            worker_init_fn=leave_signals,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # its own; otherwise each iterator would advance the model's random state
        )


class PretrainingDataModule(StreamDataModule):
    """The data module of pretraining: it tells the examples how far training is, for phases and masking rates."""

    train: PretrainingExamples

    def training_examples(self, leg: Leg) -> Examples:
        return replace(self.train, leg=leg)

    def begun(self, leg: Leg) -> tuple[int, ...]:
        return tuple(begin for begin in self.train.phases.begins(leg) if begin <= self.position)

    @property
    def moments(self) -> tuple[float, ...]:
        return self.train.moments
