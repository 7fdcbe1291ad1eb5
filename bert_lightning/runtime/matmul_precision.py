"""Float32 matrix products: torch's setting, and oneDNN on a CPU where it loses no accuracy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

_SIZE = 256  # rows and columns of the product that tests whether inputs are rounded


@contextmanager
def float32_matmul_precision(setting: str) -> Iterator[None]:
    """Set torch's precision of float32 matrix products, and restore the previous setting at the end."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(setting)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def onednn_is_exact() -> bool:
    """Return whether oneDNN computes float32 matrix products without rounding the inputs to bfloat16."""
    numbers = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, _SIZE, _SIZE, generator=numbers)
    exact = left.double() @ right.double()
    with float32_matmul_precision("medium"):
        error = (left @ right - exact).abs().max()
    return bool(error < 1e-4)  # the error is about 1e-5 in float32, and 1e-1 with inputs rounded to bfloat16


class OneDnnProducts:
    """A context in which oneDNN computes the float32 matrix products on a CPU, if that loses no accuracy.

    The setting belongs to the process. So the first thread that enters changes it, and the last that leaves restores
    it. Computation on other devices does not change it.
    """

    _lock = threading.Lock()
    _inside = 0
    _before = "highest"

    def __init__(self, device: torch.device) -> None:
        self._active = device.type == "cpu" and _is_exact_here()

    def __enter__(self) -> None:
        kind = OneDnnProducts
        if self._active:
            with kind._lock:
                if kind._inside == 0:
                    kind._before = torch.get_float32_matmul_precision()
                    torch.set_float32_matmul_precision("medium")
                kind._inside += 1

    def __exit__(self, *_: object) -> None:
        kind = OneDnnProducts
        if self._active:
            with kind._lock:
                kind._inside -= 1
                if kind._inside == 0:
                    torch.set_float32_matmul_precision(kind._before)


@cache
def _is_exact_here() -> bool:
    return onednn_is_exact()
