"""Train probes on the states of each layer of several encoders, and measure them on the same examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bert_lightning.compare.example_values import ratio_metric
from bert_lightning.compare.intervals import Component, ErrorTerms, Interval, t_interval
from bert_lightning.compare.measurements import Floats
from bert_lightning.data.labelled.task_types import Unit
from bert_lightning.errors import UserError
from bert_lightning.metrics import TaskMetrics
from bert_lightning.model.encoder import BERT
from bert_lightning.probes.control_task import control_labels, majority_class, most_frequent_labels, word_type
from bert_lightning.probes.layer_states import States, states_of_layers
from bert_lightning.probes.linear_probe import Classes, LinearProbe, choose_strength, fit_probe
from bert_lightning.probes.probe_examples import (
    Labelled,
    ProbeExamples,
    encoded_by_all,
    held_out_examples,
    labelled,
)
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.tasks.output import progress
from bert_lightning.text.tokenizers.special_tokens import SpecialIds


@dataclass(frozen=True)
class ProbedEncoder:
    """An encoder to probe: its name in tables, where it lies, and its weights. `random` asks for fresh weights."""

    name: str
    location: str
    source: PretrainedWeights
    random: bool = False

    def build(self, seed: int) -> BERT:
        """Return the encoder on the CPU. `seed` is that of fresh weights."""
        if not self.random:
            return self.source.encoder()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return BERT(self.source.config)


@dataclass(frozen=True)
class LayerResult:
    """The results of the probes of one layer.

    `selection_accuracy` is that on the held-out training examples, which chose `strength`. `values` [examples] have the
    mean `accuracy`. `metrics` are those of the task. `control` and `selectivity` are None for texts.
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
        """Return the layer with the highest accuracy on the held-out training examples; of several, the lowest."""
        return max(self.layers, key=lambda layer: layer.selection_accuracy)


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


class Probing:
    """Probes of several encoders on the same examples.

    Args:
        examples: the examples.
        encoders: the encoders.
        metrics: function that makes the task's metrics.
        max_length: the maximal number of tokens in a sequence.

    Raises:
        UserError: if no words are left, or the training examples have one class only.
    """

    def __init__(
        self,
        examples: ProbeExamples,
        encoders: Sequence[ProbedEncoder],
        metrics: Callable[[], TaskMetrics],
        max_length: int,
    ) -> None:
        self.examples, self.encoders, self.metrics = examples, encoders, metrics
        sides = (examples.train, examples.measured)
        self.units: list[list[list[Unit]]] = []  # side, encoder, example
        self.num_cut: list[int] = []  # examples of each encoder that are cut to its maximal length
        encoded = []
        for encoder in encoders:
            length = min(max_length, encoder.source.config.max_position_embeddings)
            own = [examples.task_type.encode(side, encoder.source.tokenizer, length) for side in sides]
            encoded.append(own)
            self.num_cut.append(sum(unit.is_cut for units in own for unit in units))
        self.units = [encoded_by_all([own[side] for own in encoded]) for side in range(2)]
        self.train, self.measured = (labelled(examples, side[0]) for side in self.units)
        for side, found in zip(sides, (self.train, self.measured), strict=True):
            if not len(found.targets):
                raise UserError(f"{side[0].where}: no word has a token in all encoders: raise task.max_length")
        self.held_out = held_out_examples(examples.train)[self.train.sentence]
        self._check_classes()
        self.controls = self._controls()

    def _check_classes(self) -> None:
        seen = self.train.targets[~self.held_out]
        if not len(seen) or not self.held_out.any() or len(np.unique(seen)) < 2:
            where = self.examples.train[0].where
            label = self.examples.labels[int(self.train.targets[0])]
            raise UserError(
                f"{where}: the training part of the probe has the class {label!r} only: give more rows, or raise "
                "max_states or task.train_examples"
            )

    def _controls(self) -> tuple[Classes, Classes] | None:
        """Return the control labels of the training words and of the measured ones; None for texts."""
        if not self.examples.of_words:
            return None
        of_type = control_labels([*self.train.words, *self.measured.words], self.train.targets)
        train, measured = (
            np.array([of_type[word_type(word)] for word in side.words]) for side in (self.train, self.measured)
        )
        return train, measured

    def probe(self, number: int, seed: int, batch_tokens: int) -> EncoderResult:
        """Return the results of the encoder with this number. `seed` is that of random weights."""
        encoder = self.encoders[number]
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network, special = encoder.build(seed).to(device), SpecialIds.of(encoder.source.tokenizer)
        train, measured = (
            states_of_layers(network, self.examples.task_type, side[number], special, batch_tokens)
            for side in self.units
        )
        if not (np.isfinite(train).all() and np.isfinite(measured).all()):
            raise UserError(f"{encoder.location} computes states that are not numbers: use another checkpoint")
        layers = [
            self._probe_layer(layer, train[layer], measured[layer], self.units[1][number])
            for layer in progress(range(len(train)), len(train))
        ]
        return EncoderResult(encoder.name, encoder.location, layers)

    def _probe_layer(self, layer: int, train: States, measured: States, units: Sequence[Unit]) -> LayerResult:
        strength, selection_accuracy = choose_strength(train, self.train.targets, self.held_out)
        probe = fit_probe(train, self.train.targets, strength)
        accuracy, values = self._accuracy(probe.predict(measured) == self.measured.targets)
        control, selectivity, converged = None, None, probe.converged
        if self.controls is not None:
            of_control, right = self._control(train, measured, strength)
            control, converged = float(right.mean()), converged and of_control
            selectivity = interval_over_examples(accuracy.estimate - control, values - self._accuracy(right)[1], -1.0)
        metrics = self._metrics(probe, measured, units)
        return LayerResult(
            layer, strength, selection_accuracy, accuracy, values, metrics, control, selectivity, converged
        )

    def _control(self, train: States, measured: States, strength: float) -> tuple[bool, Any]:
        """Return whether the probe of the control task converged, and which measured words it gets right."""
        assert self.controls is not None, "only words have a control task"
        labels, wanted = self.controls
        if len(np.unique(labels)) < 2:  # a few word types may all have the same label
            return True, wanted == labels[0]
        probe = fit_probe(train, labels, strength)
        return probe.converged, probe.predict(measured) == wanted

    def _accuracy(self, right: Any) -> tuple[Interval, Floats]:
        """Return the accuracy with its interval over examples, and the values of the examples, whose mean it is."""
        sizes = np.bincount(self.measured.sentence, minlength=1).astype(np.float64)
        hits: Floats = np.bincount(self.measured.sentence, weights=right, minlength=len(sizes)).astype(np.float64)
        accuracy, values = ratio_metric(hits[sizes > 0], sizes[sizes > 0])
        return interval_over_examples(accuracy, values, 0.0), values

    def _metrics(self, probe: LinearProbe, measured: States, units: Sequence[Unit]) -> dict[str, float]:
        """Return the metrics of the task. A word that no state belongs to counts as `decode` of the task decides."""
        scores = torch.from_numpy(probe.scores(measured, len(self.examples.labels)))
        metrics = self.metrics()
        metrics.update(
            None,
            self.examples.task_type.decode(scores, units, self.examples.labels),
            [unit.example for unit in units],
        )
        return {name.rpartition("/")[2]: float(value) for name, value in metrics.compute_and_reset().items()}

    def result(self, found: Sequence[EncoderResult]) -> ProbeResult:
        """Return the results of all encoders with their differences to the first, and the baselines."""
        majority = majority_class(self.train.targets)
        word_majority = None
        if self.examples.of_words:
            likeliest = most_frequent_labels(self.train.words, self.train.targets)
            guesses = np.array([likeliest.get(word_type(word), majority) for word in self.measured.words])
            word_majority = float((guesses == self.measured.targets).mean())
        counts = _counts("train", self.train) | _counts("measured", self.measured)
        return ProbeResult(
            [found[0], *(_with_difference(each, found[0]) for each in found[1:])],
            self.examples.labels,
            self.examples.of_words,
            counts | {"held_out": int(self.held_out.sum())},
            float((self.measured.targets == majority).mean()),
            word_majority,
        )


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


def _with_difference(encoder: EncoderResult, first: EncoderResult) -> EncoderResult:
    values = encoder.best.values - first.best.values
    estimate = encoder.best.accuracy.estimate - first.best.accuracy.estimate
    difference = interval_over_examples(estimate, values, -1.0)
    return EncoderResult(encoder.name, encoder.location, encoder.layers, difference)


def _counts(name: str, side: Labelled) -> dict[str, int]:
    return {f"{name}_examples": len(np.unique(side.sentence)), f"{name}_states": len(side.targets)}
