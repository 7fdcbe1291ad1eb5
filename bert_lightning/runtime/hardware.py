"""Measurements of the machine: the speed of matrix products, the best training precision, and peak memory."""

from __future__ import annotations

import re
import resource
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
from lightning.fabric.utilities.throughput import get_available_flops
from torch import Tensor

from bert_lightning.runtime.matmul_precision import float32_matmul_precision

_TOKENS = 2048  # rows of the measured product: the tokens of a usual batch
_SECONDS = 0.2
_LEAST_ROUNDS = 8  # of products that take turns: on a busy machine few fit into the time


def peak_flops(device: torch.device, precision: str, width: int, matmul_precision: str) -> float | None:
    """Return the FLOPs per second that matrix products can reach with a run's settings.

    On a CPU this is a measurement: the fastest of the products [2048, H] x [H, 4H] with H = `width` that fit into 0.2
    seconds. On a GPU it is the datasheet's number, or None if Lightning does not know the GPU.

    Args:
        device: the device that computes.
        precision: the run's precision, as Lightning's Trainer names it.
        width: the width H of the measured product.
        matmul_precision: the run's setting of torch's `float32_matmul_precision`. With "medium", some processors round
            float32 inputs to bfloat16. This makes their products several times as fast.
    """
    dtype = torch.bfloat16 if "bf16" in precision else torch.float16 if "16" in precision else torch.float32
    if device.type != "cpu":
        found = get_available_flops(device, dtype)
        return None if found is None else float(found)
    with float32_matmul_precision(matmul_precision):
        seconds = _fastest_product(*_factors(width, dtype))
    return 2 * _TOKENS * width * 4 * width / seconds


def _factors(width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return torch.zeros(_TOKENS, width, dtype=dtype), torch.zeros(width, 4 * width, dtype=dtype)


def _fastest_product(left: Tensor, right: Tensor) -> float:
    """Repeat a matrix product for 0.2 seconds, and return the seconds of the fastest one."""
    best, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < _SECONDS:
        best = min(best, _seconds_of_product(left, right))
    return best


def _seconds_of_product(left: Tensor, right: Tensor) -> float:
    begin = time.perf_counter()
    left @ right
    return time.perf_counter() - begin


@cache
def bf16_speedup() -> float:
    """Return how many times as fast as float32 products bfloat16 products are on this CPU.

    The products [2048, 256] x [256, 1024] take turns for 0.4 seconds or 8 rounds, so that other programs slow both.
    The fastest of each count.
    """
    float32, bf16 = _factors(256, torch.float32), _factors(256, torch.bfloat16)
    best_float32 = best_bf16 = float("inf")
    started, rounds = time.perf_counter(), 0
    while rounds < _LEAST_ROUNDS or time.perf_counter() - started < 2 * _SECONDS:
        rounds += 1
        best_float32 = min(best_float32, _seconds_of_product(*float32))
        best_bf16 = min(best_bf16, _seconds_of_product(*bf16))
    return best_float32 / best_bf16


@cache
def training_precision() -> str:
    """Return `bf16-mixed` if bfloat16 products are more than 1.5 times as fast as float32 products, else `32-true`.

    Products are measured on a CPU only. On a GPU, the result is `bf16-mixed` if the GPU supports bfloat16.
    """
    if torch.cuda.is_available():  # we have not run this branch on a GPU
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    return "bf16-mixed" if bf16_speedup() > 1.5 else "32-true"


def peak_memory() -> int:
    """Return the peak memory in bytes: allocated by torch on the GPU, or resident in this process if there is none."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, where `ru_maxrss` also counts the process that started this one
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if found:
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def reset_peak_memory() -> None:
    """Let `peak_memory` count from now on, where the system can do so. Else it counts from the process's start."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak of the resident memory
