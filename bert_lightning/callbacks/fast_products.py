"""Matrix products of float32 numbers through oneDNN, where that loses no accuracy."""

from __future__ import annotations

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

_SIZE = 256


class FastProducts(Callback):
    """On a CPU, let oneDNN make the float32 products of a run, which is faster than the default library.

    PyTorch then also allows it to round their inputs to bfloat16, which it does on processors that gain from it. So a
    product is compared first, and where it is rounded the default library stays. `callbacks.fast_products=null` leaves
    everything as it is.
    """

    def __init__(self) -> None:
        self._before: str | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.strategy.root_device.type == "cpu" and onednn_is_exact():
            self._before = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision("medium")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._before is not None:
            torch.set_float32_matmul_precision(self._before)
            self._before = None


def onednn_is_exact() -> bool:
    """Whether oneDNN's float32 products differ from those of the default library by rounding alone."""
    numbers = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, _SIZE, _SIZE, generator=numbers)
    exact = left.double() @ right.double()
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        error = (left @ right - exact).abs().max()
    finally:
        torch.set_float32_matmul_precision(before)
    return bool(error < 1e-4)  # float32: about 1e-5; inputs rounded to bfloat16: about 1e-1
