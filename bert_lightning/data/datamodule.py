"""The loaders that Lightning asks for."""

from __future__ import annotations

from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, Dataset

from bert_lightning.data.sampler import OnceThrough, StreamBatches
from bert_lightning.errors import UserError


class Examples(Protocol):
    """Finished batches by range of positions; `len` is the number of examples of an epoch."""

    def __len__(self) -> int: ...

    def __getitem__(self, positions: range) -> Any: ...


class StreamDataModule(pl.LightningDataModule):
    """Training batches from the stream of `train` for as many steps as the trainer takes; `validation` once through.

    Args:
        train: examples that the stream repeats, epoch after epoch.
        validation: examples of validation, in order.
        batch_size: sequences of a batch, on each rank.
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
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("num_workers", num_workers, 0),
            ("validation_examples", 1 if validation_examples is None else validation_examples, 1),
        ):
            if value < least:
                raise UserError(f"{name}={value} must be {least} or more")
        self.train, self.validation = train, validation
        self.batch_size, self.num_workers = batch_size, num_workers
        self.validation_size = min(len(validation), validation_examples or len(validation))

    def train_dataloader(self) -> DataLoader[Any]:
        trainer = self.trainer
        assert trainer is not None, "Lightning attaches the trainer before it asks for loaders"
        batches = StreamBatches(
            self.batch_size,
            trainer.max_steps * trainer.accumulate_grad_batches,
            trainer.global_rank,
            trainer.world_size,
        )
        return self._loader(self.train, batches)

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.validation, OnceThrough(self.validation_size, self.batch_size))

    def _loader(self, examples: Examples, batches: StreamBatches | OnceThrough) -> DataLoader[Any]:
        dataset: Dataset[Any] = examples  # type: ignore[assignment]
        return DataLoader(
            dataset,
            sampler=batches,
            batch_size=None,  # the dataset makes whole batches
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # of its own, or each iterator would move the model's random state
        )
