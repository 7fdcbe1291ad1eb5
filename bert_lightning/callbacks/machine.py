"""What the machine can do, and what it holds."""

from __future__ import annotations

import re
import resource
import sys
import time
from functools import cache
from pathlib import Path

import torch
from lightning.fabric.utilities.throughput import get_available_flops

_TOKENS = 2048  # rows of the measured product: as many as a usual batch has
_SECONDS = 0.2


def peak_flops(device: torch.device, precision: str, width: int) -> float | None:
    """Floating-point operations per second that matrix products can reach in a run's precision.

    On a CPU it is measured: [2048, H] x [H, 4H] with H = `width`, the best of what fits into 0.2 seconds. On a GPU it
    is the datasheet's number, None for a card that Lightning does not know.
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
    """`bf16-mixed` where products in bfloat16 are half as fast again as in float32 or more, else `32-true`."""
    if torch.cuda.is_available():  # never run on a GPU by us
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    bf16, float32 = (peak_flops(torch.device("cpu"), precision, 256) or 0.0 for precision in ("bf16", "32"))
    return "bf16-mixed" if bf16 > 1.5 * float32 else "32-true"


def peak_memory() -> int:
    """Bytes: the most that torch allocated on the GPU, or that this process had in memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():  # Linux: there `ru_maxrss` also counts the process that started this one
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if found:
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
