"""Float32 matrix products by oneDNN on a CPU, if that loses no accuracy."""

from __future__ import annotations

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from bert_lightning.runtime.matmul_precision import onednn_is_exact


class OneDnnMatmul(Callback):
    """A callback that speeds up training on a CPU: oneDNN computes the float32 matrix products.

    PyTorch's setting for this also allows oneDNN to round the inputs to bfloat16. oneDNN does so on processors where
    that is faster. So the callback first tests one product. If oneDNN rounds, the run uses PyTorch's default library.
    `callbacks.onednn_matmul=null` turns the callback off.
    """

    def __init__(self) -> None:
        self._before: str | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.strategy.root_device.type == "cpu" and onednn_is_exact():
            self._before = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision("medium")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()  # Lightning does not call `teardown` after an error

    def _restore(self) -> None:
        if self._before is not None:
            torch.set_float32_matmul_precision(self._before)
            self._before = None
