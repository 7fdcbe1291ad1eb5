"""Measurements of the machine: its peak FLOPs per second, its best training precision, and peak memory."""

from __future__ import annotations

import re
import resource
import sys
import time
from functools import cache
from pathlib import Path

import torch
from lightning.fabric.utilities.throughput import get_available_flops

_TOKENS = 2048  # rows of the measured product: the tokens of a usual batch
_SECONDS = 0.2


def peak_flops(device: torch.device, precision: str, width: int) -> float | None:
    """Return the FLOPs per second that matrix products can reach in a run's precision.

    On a CPU it is measured: [2048, H] x [H, 4H] with H = `width`, the fastest product within 0.2 seconds. On a GPU it
    is the datasheet's number, or None if Lightning does not know the GPU.
    """
    dtype = torch.bfloat16 if "bf16" in precision else torch.float16 if "16" in precision else torch.float32
    if device.type != "cpu":
        found = get_available_flops(device, dtype)
        return None if found is None else float(found)
    left, right = torch.zeros(_TOKENS, width, dtype=dtype), torch.zeros(width, 4 * width, dtype=dtype)
    best, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < _SECONDS:
        begin = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - begin)
    return 2 * _TOKENS * width * 4 * width / best


@cache
def training_precision() -> str:
    """Return `bf16-mixed` if bfloat16 products are more than 1.5 times as fast as float32 products, else `32-true`.

    On a GPU nothing is measured: it is `bf16-mixed` if the GPU supports bfloat16.
    """
    if torch.cuda.is_available():  # we have not run this branch on a GPU
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    bf16, float32 = (peak_flops(torch.device("cpu"), precision, 256) or 0.0 for precision in ("bf16", "32"))
    return "bf16-mixed" if bf16 > 1.5 * float32 else "32-true"


def peak_memory() -> int:
    """Return the peak memory in bytes: what torch allocated on the GPU, or else what this process had in memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, where `ru_maxrss` also counts the process that started this one
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if found:
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
