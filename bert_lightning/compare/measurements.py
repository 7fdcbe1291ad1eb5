"""Measured values of runs, before any statistics: one value for each run and measure, and its examples' values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measurement:
    """The value of one measure in one run.

    `values` [N] are the values of the examples, whose mean is `value`: 0 or 1 for an accuracy, a loss, or the jackknife
    pseudo-value for a measure that is no mean over examples, such as F1. `examples` [N] are their ids, unique and in
    any order. `clusters` [N] names the cluster of each example, such as the paragraph of a question. All three are None
    if only the whole value is known.
    """

    arm: str
    seed: int  # pretraining seed
    finetuning_seed: int | None
    measure: str
    value: float
    examples: tuple[str, ...] | None = None
    values: Floats | None = None
    clusters: tuple[str, ...] | None = None
