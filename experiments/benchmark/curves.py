"""Compare the losses of 200 steps with all switches on and all off, with the same seed and batches.

Without dropout, the two curves must agree up to rounding errors. With dropout, they have different dropout masks,
because the plain step draws numbers for padding too, in another order. The curves are then two samples of the same
training.
"""

from __future__ import annotations

import itertools
import statistics
from pathlib import Path
from typing import Any

import torch
from batches import batches
from matplotlib.figure import Figure
from sides import NOTHING, Ours
from switches import ALL

STEPS, SIZE, SEQUENCES, LENGTH = 200, (4, 128), 8, 64


def curves(path: Path) -> dict[str, Any]:
    """Draw the curves. Return the largest and the median difference, without and with dropout."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    found: dict[str, Any] = {"steps": STEPS}
    for axes, dropout in zip(figure.subplots(1, 2, sharey=True), (0.0, 0.1), strict=True):
        fast, plain = _losses(NOTHING, dropout), _losses(ALL, dropout)
        apart = [abs(a - b) for a, b in zip(fast, plain, strict=True)]
        found[f"dropout {dropout}"] = {
            "largest": max(apart), "median": statistics.median(apart), "first": fast[0], "last": fast[-1]
        }  # fmt: skip
        axes.plot(plain, color="tab:orange", linewidth=2.5, label="all switches off")
        axes.plot(fast, color="tab:blue", linewidth=0.9, label="as it is")
        axes.set(xlabel="step", title=f"dropout {dropout}: at most {max(apart):.1e} apart")
    figure.axes[0].set_ylabel("loss of masked tokens")
    figure.axes[0].legend()
    figure.savefig(path, dpi=130)
    return found


def _losses(off: frozenset[str], dropout: float) -> list[float]:
    side = Ours(SIZE, "fp32", dropout=dropout, off=off)
    stream = itertools.islice(batches("sentences", LENGTH, SEQUENCES), STEPS)
    losses = []
    for number, batch in enumerate(stream):
        torch.manual_seed(number)  # seeds dropout
        losses.append(side.step(side.prepare(batch)))
    return losses
