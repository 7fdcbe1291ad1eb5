"""Float32 matrix products by oneDNN on a CPU, if that loses no accuracy."""

from __future__ import annotations

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

_SIZE = 256


class FastProducts(Callback):
    """A callback that lets oneDNN compute the float32 matrix products of a run on a CPU, which is faster.

    PyTorch's setting also allows oneDNN to round the inputs to bfloat16, which it does on processors that gain from it.
    So one product is compared first. If it is rounded, the default library stays. `callbacks.fast_products=null` turns
    the callback off.
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
    """Return whether oneDNN's float32 products are accurate: it does not round their inputs to bfloat16."""
    numbers = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, _SIZE, _SIZE, generator=numbers)
    exact = left.double() @ right.double()
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        error = (left @ right - exact).abs().max()
    finally:
        torch.set_float32_matmul_precision(before)
    return bool(error < 1e-4)  # the error is about 1e-5 in float32, and 1e-1 with inputs rounded to bfloat16
