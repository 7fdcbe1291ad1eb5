"""The Lightning data module, with the data loaders for training and validation."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import replace
from functools import partial
from typing import Any, Generic, TypeVar

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from bert_lightning.budget import Budget
from bert_lightning.data.batching.accumulation import CountedBatches
from bert_lightning.data.batching.batch_plan import BatchPlan, PlannedBatches
from bert_lightning.data.batching.sampler import SequentialBatches, StreamBatches
from bert_lightning.data.batching.stream_examples import StreamExamples
from bert_lightning.data.batching.token_batches import TokenBatches, Windows
from bert_lightning.data.workers import allow_open_files, ignore_terminal_signals
from bert_lightning.errors import UserError

E = TypeVar("E", bound=StreamExamples[Any])
_ENDLESS = 2**40  # number of batches that no run reaches


class StreamDataModule(pl.LightningDataModule, Generic[E]):
    """Load training batches from an endless stream until the budget is spent, and each validation example once.

    A checkpoint stores the number of examples that all ranks together have received. A resumed run begins at this
    position, with any number of workers. The number of ranks and the number of accumulated batches may change if their
    product stays the same.

    Args:
        train: training examples; the stream repeats them in every epoch.
        validation: validation examples, read in order.
        batch_size: number of sequences in a batch on each rank.
        batch_tokens: maximal number of tokens in a training batch on each rank, with any number of sequences; None for
            batches of `batch_size` sequences.
        validation_examples: maximal number of validation examples that are used; None for all.
        num_workers: number of processes that make batches. The content of the batches does not depend on it.

    Raises:
        UserError: if a number is too small, or the system does not allow so many workers.
    """

    def __init__(
        self,
        train: E,
        validation: E,
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
        self.windows: Windows | None = None  # at the full batch size; None for batches of `batch_size` sequences
        if batch_tokens is not None:
            self.windows = Windows(train.lengths, len(train), train.longest, batch_tokens, train.seed)
        self.position = 0  # position in the training stream: number of examples given to all ranks
        self.plan: BatchPlan | None = None  # current plan; None before the first
        self.validation_size = min(len(validation), validation_examples or len(validation))

    def train_dataloader(self) -> PlannedBatches:
        """Return the training batches of this rank, from the current position to the end of the budget."""
        assert self.trainer is not None, "Lightning attaches the trainer before it asks for loaders"
        budget: Budget = self.trainer.lightning_module.budget  # type: ignore[assignment]
        accumulated = self.trainer.accumulate_grad_batches
        return PlannedBatches(
            replan=partial(self._replan, budget, accumulated * self.trainer.world_size),
            batches=partial(self._present_batches, budget, self.trainer),
            update_batches=accumulated,
            num_batches=_ENDLESS if budget.updates is None else budget.updates * accumulated,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the validation batches of this rank."""
        rank, ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if self.validation_size < ranks:
            raise UserError(
                f"{self.validation_size} validation examples are not enough for {ranks} ranks, which need one each: "
                "use more validation examples, or fewer ranks"
            )
        batch_size = min(self.batch_size, self.validation_size // ranks)  # Lightning refuses a rank without a batch
        return self._loader(self.validation, SequentialBatches(self.validation_size, batch_size, rank, ranks))

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Advance the position when training receives a batch. Batches that workers made ahead are not counted."""
        if self.trainer is not None and self.trainer.training:
            self.position = self._batches.after(self.position)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return the position and the plan of the training stream. They are the same on every rank.

        Do not rename the keys, because they are stored in checkpoints.
        """
        return {"position": self.position, "leg": None if self.plan is None else self.plan.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the position and the plan of the training stream."""
        self.position = state_dict["position"]
        self.plan = None if state_dict["leg"] is None else BatchPlan.from_state(state_dict["leg"])

    def batches_per_epoch(self) -> int:
        """Return the number of batches in one epoch of training, on all ranks together."""
        return -(-len(self.train) // self.batch_size) if self.windows is None else len(self.windows.epoch_batches())

    def _replan(self, budget: Budget, update_batches: int) -> bool:
        """Make a new plan if the spent budget requires other batch settings. Return whether there is a new plan.

        Args:
            budget: budget of the run.
            update_batches: number of batches per update, on all ranks together.
        """
        last, spent = self.plan, budget.fraction_spent
        changes = sorted({*budget.growth_points, *(self.train.change_points if budget.updates is None else ())})
        if last is not None and bisect_right(changes, last.fraction_spent) == bisect_right(changes, spent):
            return False
        pace = math.inf
        if budget.updates is not None:
            pace = budget.updates * update_batches * self._examples_per_batch(budget)
        starts = () if last is None else self.train.phase_starts(last)
        self.plan = BatchPlan(self.position, spent, pace, tuple(start for start in starts if start <= self.position))
        return True

    def _present_batches(self, budget: Budget, trainer: pl.Trainer) -> DataLoader[Any] | CountedBatches:
        """Return the batches of the current plan, from the current position on."""
        assert self.plan is not None, "made before batches are asked for"
        examples, ranks = self.train.with_plan(self.plan), (trainer.global_rank, trainer.world_size)
        if self.windows is None:
            size = budget.batch_size(self.batch_size, self.plan.fraction_spent)
            self._batches: StreamBatches | TokenBatches = StreamBatches(size, _ENDLESS, *ranks, self.position)
        else:
            windows = self._windows_at(self.plan.fraction_spent, budget, self.windows)
            windows = replace(windows, lengths=examples.lengths, begin=self.plan.position)
            self._batches = TokenBatches(windows, _ENDLESS, *ranks, self.position)
        loader = self._loader(examples, self._batches)
        if trainer.accumulate_grad_batches * trainer.world_size == 1:
            return loader
        counts: Any = trainer.lightning_module.objective.counts  # type: ignore[union-attr]
        return CountedBatches(loader, trainer.accumulate_grad_batches, counts, self._mean_over_ranks)

    def _examples_per_batch(self, budget: Budget) -> float:
        """Return the number of examples per batch at the current fraction of the budget.

        If the batch size is given in tokens, this is the mean over a sample that covers all of training.
        """
        if self.windows is None:
            return budget.batch_size(self.batch_size, budget.fraction_spent)
        windows = self._windows_at(budget.fraction_spent, budget, self.windows)
        whole_training = BatchPlan(fraction_spent=0.0, pace=windows.sample_size)
        return windows.mean_batch_examples(self.train.with_plan(whole_training).lengths)

    def _windows_at(self, fraction_spent: float, budget: Budget, full: Windows) -> Windows:
        """Return the windows for the batch size at a fraction of the budget. `full` has those for the full batch size.

        A batch is at least as large as the longest example.
        """
        return replace(full, max_tokens=max(full.longest, budget.batch_size(full.max_tokens, fraction_spent)))

    def _mean_over_ranks(self, values: Tensor) -> Tensor:
        assert self.trainer is not None
        strategy = self.trainer.strategy
        mean: Tensor = strategy.reduce(values.to(strategy.root_device), reduce_op="mean")
        return mean

    def _loader(self, examples: E, batches: Sampler[Any]) -> DataLoader[Any]:
        return DataLoader(
            examples,
            sampler=batches,
            batch_size=None,  # the examples already return batches
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            worker_init_fn=ignore_terminal_signals,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # a separate one; otherwise iterators would advance the model's random state
        )
