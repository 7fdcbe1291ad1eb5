"""The results of probes: of one layer, of one encoder, and of several encoders beside baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bert_lightning.compare.intervals import Component, ErrorTerms, Interval, t_interval
from bert_lightning.compare.measurements import Floats


@dataclass(frozen=True)
class LayerResult:
    """The results of the probes of one layer.

    `selection_accuracy` is that on the held-out training examples, which chose `strength`. `values` [examples] have the
    mean `accuracy`. `metrics` are those of the task. `control` and `selectivity` are None without a control
    task.
    """

    layer: int
    strength: float
    selection_accuracy: float
    accuracy: Interval
    values: Floats
    metrics: dict[str, float]
    control: float | None
    selectivity: Interval | None
    converged: bool


@dataclass(frozen=True)
class EncoderResult:
    """The results of one encoder, by layer. `difference` is to the first encoder, from the best layer of each."""

    name: str
    location: str
    layers: list[LayerResult]
    difference: Interval | None = None

    @property
    def best(self) -> LayerResult:
        """Return the best layer."""
        return best_layer(self.layers)


@dataclass(frozen=True)
class ProbeResult:
    """The results of all encoders, and the accuracies of baselines without an encoder.

    `word_majority` predicts the most frequent class of the word type; None for texts.
    """

    encoders: list[EncoderResult]
    labels: list[str]
    of_words: bool
    counts: dict[str, int]  # numbers of examples and of states, `train_*` and `measured_*`
    majority: float
    word_majority: float | None


def best_layer(layers: Sequence[LayerResult]) -> LayerResult:
    """Return the layer with the highest accuracy on the held-out training examples; of several, the lowest."""
    return max(layers, key=lambda layer: layer.selection_accuracy)


def interval_over_examples(estimate: float, values: Floats, lowest: float) -> Interval:
    """Return the interval of 95 % of a mean over examples, by Student's t. It is about new examples.

    Args:
        estimate: the mean.
        values: [examples] the values.
        lowest: the lowest possible mean: 0 for an accuracy, -1 for a difference. The highest is 1.
    """
    if len(values) < 2:
        return Interval(estimate, reason="one example says nothing about other examples")
    variance = float(np.var(values, ddof=1)) / len(values)
    found = t_interval(estimate, ErrorTerms((), (Component(variance, len(values) - 1),)))
    if found.low is None or found.high is None:
        return found
    return Interval(estimate, max(found.low, lowest), min(found.high, 1.0), found.standard_error, p=found.p)


def with_difference(encoder: EncoderResult, first: EncoderResult) -> EncoderResult:
    """Return the results of an encoder with its difference to the first encoder."""
    values = encoder.best.values - first.best.values
    estimate = encoder.best.accuracy.estimate - first.best.accuracy.estimate
    difference = interval_over_examples(estimate, values, -1.0)
    return EncoderResult(encoder.name, encoder.location, encoder.layers, difference)
