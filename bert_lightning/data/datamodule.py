"""The loaders that Lightning asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from bert_lightning.data.accumulation import CountedBatches
from bert_lightning.data.examples import PretrainingExamples
from bert_lightning.data.sampler import Ints, OnceThrough, Positions, StreamBatches
from bert_lightning.data.token_batches import TokenBatches, Windows
from bert_lightning.errors import UserError


class Examples(Protocol):
    """Finished batches by positions; `len` is the number of examples of an epoch."""

    def __len__(self) -> int: ...

    def __getitem__(self, positions: Positions) -> Any: ...

    @property
    def seed(self) -> Any:
        """Of their order."""

    @property
    def longest(self) -> int:
        """Tokens that no example exceeds."""

    def lengths(self, positions: Positions) -> Ints:
        """Tokens of the examples at some positions."""


class StreamDataModule(pl.LightningDataModule):
    """Training batches from the stream of `train` for as many steps as the trainer takes; `validation` once through.

    A checkpoint keeps how many examples the ranks were given together. A run that resumes goes on from there, at once
    and with any number of workers; with another number of ranks, or accumulated batches, if their product is the same.

    Args:
        train: examples that the stream repeats, epoch after epoch.
        validation: examples of validation, in order.
        batch_size: sequences of a batch, on each rank.
        batch_tokens: tokens of a training batch at most, on each rank, whatever number of sequences that is; None for
            `batch_size` sequences.
        validation_examples: how many of the validation examples are used at most; None for all.
        num_workers: processes that make batches; the batches do not depend on it.
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
        self.train, self.validation = train, validation
        self.batch_size, self.num_workers = batch_size, num_workers
        self.windows: Windows | None = None
        if batch_tokens is not None:
            self.windows = Windows(train.lengths, len(train), train.longest, batch_tokens, train.seed)
        self.position = 0  # in the training stream: examples given to all ranks
        self.validation_size = min(len(validation), validation_examples or len(validation))

    def train_dataloader(self) -> DataLoader[Any] | CountedBatches:
        trainer = self.trainer
        assert trainer is not None, "Lightning attaches the trainer before it asks for loaders"
        count = trainer.max_steps * trainer.accumulate_grad_batches
        examples, self._batches = self._of_training(count, trainer.global_rank, trainer.world_size)
        loader = self._loader(examples, self._batches)
        if trainer.accumulate_grad_batches * trainer.world_size == 1:
            return loader
        counts: Any = trainer.lightning_module.objective.counts  # type: ignore[union-attr]
        return CountedBatches(loader, trainer.accumulate_grad_batches, counts, self._mean_over_ranks)

    def val_dataloader(self) -> DataLoader[Any]:
        rank, ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return self._loader(self.validation, OnceThrough(self.validation_size, self.batch_size, rank, ranks))

    def training_examples(self, horizon: int) -> Examples:
        """The examples of training; `horizon` is how many positions of the stream all of training takes."""
        return self.train

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Count what is handed to training: not what workers have made ahead."""
        if self.trainer is not None and self.trainer.training:
            self.position = self._batches.after(self.position)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Where the stream goes on; the same on every rank."""
        return {"position": self.position}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on there."""
        self.position = state_dict["position"]

    def _mean_over_ranks(self, values: Tensor) -> Tensor:
        assert self.trainer is not None
        strategy = self.trainer.strategy
        mean: Tensor = strategy.reduce(values.to(strategy.root_device), reduce_op="mean")
        return mean

    def batches_of_an_epoch(self) -> int:
        """Batches of the training examples, once through, of all ranks together."""
        return -(-len(self.train) // self.batch_size) if self.windows is None else len(self.windows.of_an_epoch())

    def _of_training(self, count: int, rank: int, world_size: int) -> tuple[Examples, StreamBatches | TokenBatches]:
        """The examples, told how long training is, and `count` batches of them."""
        if self.windows is None:
            batches = StreamBatches(self.batch_size, count, rank, world_size, self.position)
            return self.training_examples(batches.horizon), batches
        each = self.windows.examples_of_a_batch(self.training_examples(self.windows.trial).lengths)
        examples = self.training_examples(round(count * world_size * each))
        windows = replace(self.windows, lengths=examples.lengths)
        return examples, TokenBatches(windows, count, rank, world_size, self.position)

    def _loader(self, examples: Examples, batches: Sampler[Any]) -> DataLoader[Any]:
        dataset: Dataset[Any] = examples  # type: ignore[assignment]
        return DataLoader(
            dataset,
            sampler=batches,
            batch_size=None,  # the dataset makes whole batches
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # of its own, or each iterator would move the model's random state
        )


class PretrainingDataModule(StreamDataModule):
    """Its training examples are told how long training is, for phases and for rates that change."""

    train: PretrainingExamples

    def training_examples(self, horizon: int) -> Examples:
        return replace(self.train, horizon=horizon)
