"""Measure the time of our step by width, depth, length and batch size, and compare it with the number of FLOPs."""

from __future__ import annotations

import statistics
import time
from functools import cache
from pathlib import Path
from typing import Any

import torch
from batches import batches
from flops import needed
from matplotlib.figure import Figure
from sides import Ours

from bert_lightning.runtime.hardware import peak_flops

BASE = {"width": 256, "layers": 4, "length": 128, "sequences": 16}
SERIES = {
    "width": [128, 256, 512, 768],
    "layers": [2, 4, 8, 12],
    "length": [32, 64, 128, 256, 512],
    "sequences": [4, 8, 16, 32, 64],
}


def cost(path: Path, threads: int, seconds: float = 4.0) -> dict[str, Any]:
    """Measure in bf16 on full sequences, and draw. A point is (value, tokens per second, fraction of the peak)."""
    torch.set_num_threads(threads)
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    found: dict[str, Any] = {}
    for axes, (name, values) in zip(figure.subplots(1, 4, sharey=True), SERIES.items(), strict=True):
        points = [_point({**BASE, name: value}, seconds) for value in values]
        found[name] = dict(zip(map(str, values), points, strict=True))
        axes.loglog(values, [p["tokens_per_second"] for p in points], marker="o", label="measured")
        axes.loglog(
            values, [p["ceiling"] / p["flops_per_token"] for p in points], "--", color="0.5", label="the ceiling"
        )
        axes.set_xticks(values, map(str, values), minor=False)
        axes.set_xticks([], minor=True)
        axes.set_xlabel(name)
    figure.axes[0].set_ylabel("tokens per second")
    figure.axes[0].legend()
    others = ", ".join(f"{name} {value}" for name, value in BASE.items())
    figure.suptitle(f"A training step, bf16; unless varied {others}. Dashed: FLOPs at the speed of bare products")
    figure.savefig(path, dpi=130)
    return found


def _point(at: dict[str, int], seconds: float) -> dict[str, float]:
    side = Ours((at["layers"], at["width"]), "bf16")
    batch = next(batches("full", at["length"], at["sequences"]))
    step, tokens = side.prepare(batch), int(batch["attention_mask"].sum())
    side.step(step)
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - started < seconds:
        begin = time.perf_counter()
        side.step(step)
        times.append(time.perf_counter() - begin)
    return {
        "tokens_per_second": tokens / statistics.median(times),
        "flops_per_token": needed(batch, at["layers"], at["width"]) / tokens,
        "ceiling": _ceiling(at["width"]),
    }


@cache
def _ceiling(width: int) -> float:
    found = peak_flops(torch.device("cpu"), "bf16", width, torch.get_float32_matmul_precision())
    assert found is not None, "on a CPU it is measured"
    return found
