"""The throughput of training in tokens and FLOPs per second, and the time lost to padding and waiting for data."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.flop_counter import FlopCounterMode

from bert_lightning.runtime.collectives import gather_over_ranks, sum_over_ranks
from bert_lightning.runtime.flop_counter import make_flop_counter
from bert_lightning.runtime.hardware import peak_flops, peak_memory


@dataclass
class _Counts:
    """Counts over a period of training on this rank."""

    seconds: float = 0.0  # time of training, without validation
    waiting: float = 0.0  # the part of `seconds` that is spent waiting for the next batch
    tokens: int = 0  # tokens without padding
    positions: int = 0  # tokens and padding

    def add(self, other: _Counts) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class Throughput(Callback):
    """A callback that logs the following values over the steps since the last log, and over the run for its summary.

    - `tokens_per_second`: real tokens per second, over all ranks.
    - `padding`: fraction of the batches' positions that are padding.
    - `data_wait`: fraction of the time that training waits for batches.
    - `flops_per_second`: FLOPs of the model's matrix products per second, forward and backward. The FLOPs are counted
      on the first batch of every rank and scaled by tokens.
    - `mfu`: `flops_per_second` as a fraction of the ceiling. On a CPU the ceiling is the speed of matrix products of
      the model's width with the run's settings, measured at the start. On a GPU it is the datasheet's number (we have
      not run this on a GPU). For a GPU that Lightning does not know, there is no `mfu`.
    - `peak_memory`: peak memory in bytes, of the process on a CPU or allocated by torch on a GPU.

    It also logs what the run has spent so far, as coordinates of its curves: `tokens`, `flops` and `seconds`, the
    seconds of training without validation.
    """

    def __init__(self) -> None:
        self.total, self._recent = _Counts(), _Counts()
        self.total_tokens = 0  # tokens of all ranks, including those before this run was resumed
        self.seconds_before = 0.0  # seconds of training before this run was resumed
        self.flops_per_token: float | None = None
        self.ceiling: float | None = None
        self._counted: tuple[FlopCounterMode, int] | None = None  # the running FLOP counter, and its batch's tokens
        self._last = self._began = 0.0  # when the last batch ended, and when the current one began
        self._interrupted = False  # whether anything but fetching a batch happened since the last one
        self._step, self._world_size = 0, 1
        self._continued = [0, 0]  # tokens and positions between the last log and the checkpoint that is resumed

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        setting = torch.get_float32_matmul_precision()  # the run's: `OneDnnMatmul` has set it, or left it
        self.ceiling = peak_flops(pl_module.device, trainer.precision, _width(pl_module), setting)
        self._step, self._world_size = trainer.global_step, trainer.world_size
        self._last = time.perf_counter()
        if trainer.is_global_zero:  # one rank takes the counts of all, because they are summed over ranks again
            self._recent.tokens, self._recent.positions = self._continued

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._began = time.perf_counter()
        if self._interrupted:
            self._last, self._interrupted = self._began, False
        if self.flops_per_token is None:
            self._counted = make_flop_counter(), batch["num_tokens"]
            self._counted[0].__enter__()

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._counted is not None:
            (counter, tokens), self._counted = self._counted, None
            counter.__exit__(None, None, None)
            flops, tokens = sum_over_ranks(counter.get_total_flops(), tokens)
            self.flops_per_token = flops / tokens

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now, tokens = time.perf_counter(), batch["num_tokens"]
        self._recent.add(_Counts(now - self._last, self._began - self._last, tokens, batch["input_ids"].numel()))
        self._last = now
        accumulating, self._step = trainer.global_step == self._step, trainer.global_step
        due = trainer.global_step % trainer.log_every_n_steps == 0 or trainer.should_stop  # type: ignore[attr-defined]
        if due and not accumulating:  # `due` includes the last update, because Lightning logs it too
            self._log(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._take(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._interrupted = True  # validating and saving do not count as waiting for data

    def summary(self) -> dict[str, float | None]:
        """Return the rates over the run. `self.total` counts the tokens of all ranks, and the seconds of this rank."""
        return self._rates(self.total)

    def total_flops(self) -> float | None:
        """Return the FLOPs of all training steps of the run; None if no step was counted."""
        return None if self.flops_per_token is None else self.flops_per_token * self.total_tokens

    def state_dict(self) -> dict[str, Any]:
        """Return the counts summed over ranks, including those since the last log."""
        recent = gather_over_ranks((self._recent.tokens, self._recent.positions))
        return {
            "total_tokens": self.total_tokens,
            "recent": [sum(counts) for counts in zip(*recent, strict=True)],
            "flops_per_token": self.flops_per_token,
            "seconds": self.seconds_before + self.total.seconds + self._recent.seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.total_tokens, self._continued = state_dict["total_tokens"], state_dict["recent"]
        self.flops_per_token = state_dict["flops_per_token"]
        self.seconds_before = state_dict.get("seconds", 0.0)  # a checkpoint of an older version has none

    def _log(self, trainer: Trainer, pl_module: LightningModule) -> None:
        rates = self._rates(self._take(trainer))
        pl_module.log("train/tokens_per_second", rates.pop("tokens_per_second") or 0.0, prog_bar=True)
        seconds = self.seconds_before + self.total.seconds
        spent = {"tokens": float(self.total_tokens), "flops": self.total_flops(), "seconds": seconds}
        logged = {**rates, **spent}
        pl_module.log_dict({f"train/{name}": value for name, value in logged.items() if value is not None})

    def _take(self, trainer: Trainer) -> _Counts:
        """Return the counts since the last call and reset them. Tokens and positions are summed over ranks."""
        taken, self._recent = self._recent, _Counts()
        if trainer.world_size > 1:
            counts = torch.tensor([taken.tokens, taken.positions], device=trainer.strategy.root_device)
            taken.tokens, taken.positions = trainer.strategy.reduce(counts, reduce_op="sum").tolist()
        self.total.add(taken)
        self.total_tokens += taken.tokens
        return taken

    def _rates(self, counts: _Counts) -> dict[str, float | None]:
        seconds = counts.seconds or float("inf")
        flops = (self.flops_per_token or 0.0) * counts.tokens / seconds
        return {
            "tokens_per_second": counts.tokens / seconds,
            "padding": 1 - counts.tokens / max(1, counts.positions),
            "data_wait": counts.waiting / seconds,
            "flops_per_second": flops,
            "mfu": flops / (self.ceiling * self._world_size) if self.ceiling else None,
            "peak_memory": float(peak_memory()),
        }


def _width(module: LightningModule) -> int:
    """Return the width at which the ceiling is measured: the largest minimum of the two sides of any weight matrix."""
    return max((min(p.shape) for p in module.parameters() if p.ndim == 2), default=1)
