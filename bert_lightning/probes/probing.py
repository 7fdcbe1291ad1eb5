"""Train probes on the states of each layer of several encoders, and measure them on the same examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from bert_lightning.compare.example_values import ratio_metric
from bert_lightning.compare.intervals import Interval
from bert_lightning.compare.measurements import Floats
from bert_lightning.data.labelled.task_types import Unit
from bert_lightning.errors import UserError
from bert_lightning.metrics import TaskMetrics
from bert_lightning.model.encoder import BERT
from bert_lightning.probes.control_task import control_labels, majority_class, most_frequent_labels, word_type
from bert_lightning.probes.layer_states import States, states_of_layers
from bert_lightning.probes.linear_probe import Classes, LinearProbe, blas_threads, choose_strength, fit_probe
from bert_lightning.probes.probe_examples import (
    Labelled,
    ProbeExamples,
    encoded_by_all,
    held_out_examples,
    labelled,
)
from bert_lightning.probes.probe_results import (
    EncoderResult,
    LayerResult,
    ProbeResult,
    interval_over_examples,
    with_difference,
)
from bert_lightning.text.tokenizers.special_tokens import SpecialIds


@dataclass(frozen=True)
class ProbeInput:
    """The input of an encoder: sequences of at most `max_length` tokens of its tokenizer."""

    tokenizer: Tokenizer
    max_length: int


class Probing:
    """Probes of several encoders on the same examples.

    Args:
        examples: the examples.
        inputs: what each encoder reads.
        metrics: function that makes the task's metrics; None: only the accuracy is computed.
        control_task: whether the control task is measured too. Texts have none.

    Raises:
        UserError: if no words are left, or the training examples have one class only.
    """

    def __init__(
        self,
        examples: ProbeExamples,
        inputs: Sequence[ProbeInput],
        metrics: Callable[[], TaskMetrics] | None,
        control_task: bool,
    ) -> None:
        self.examples, self.metrics = examples, metrics
        self.special = [SpecialIds.of(each.tokenizer) for each in inputs]
        sides = (examples.train, examples.measured)
        encoded = [
            [examples.task_type.encode(side, each.tokenizer, each.max_length) for side in sides] for each in inputs
        ]
        # The number of examples of each encoder that are cut to its maximal length.
        self.num_cut = [sum(unit.is_cut for units in own for unit in units) for own in encoded]
        # Side, encoder, example.
        self.units: list[list[list[Unit]]] = [encoded_by_all([own[side] for own in encoded]) for side in range(2)]
        self.train, self.measured = (labelled(examples, side[0]) for side in self.units)
        for side, found in zip(sides, (self.train, self.measured), strict=True):
            if not len(found.targets):
                raise UserError(f"{side[0].where}: no word has a token in all encoders: raise task.max_length")
        self.held_out = held_out_examples(examples.train)[self.train.sentence]
        self._check_classes()
        self.controls = self._controls() if control_task and examples.of_words else None

    def _check_classes(self) -> None:
        seen = self.train.targets[~self.held_out]
        if not len(seen) or not self.held_out.any() or len(np.unique(seen)) < 2:
            where = self.examples.train[0].where
            label = self.examples.labels[int(self.train.targets[0])]
            raise UserError(
                f"{where}: the training part of the probe has the class {label!r} only: give more rows, or raise "
                "max_states or task.train_examples"
            )

    def _controls(self) -> tuple[Classes, Classes]:
        """Return the control labels of the training words and of the measured ones."""
        of_type = control_labels([*self.train.words, *self.measured.words], self.train.targets)
        train, measured = (
            np.array([of_type[word_type(word)] for word in side.words]) for side in (self.train, self.measured)
        )
        return train, measured

    def states(self, number: int, network: BERT, batch_tokens: int, bar: bool = True) -> tuple[States, States]:
        """Return the states of all layers for the training examples and for the measured ones, both [L + 1, N, H].

        Args:
            number: the number of the encoder among `inputs`.
            network: the encoder, on the device where it runs.
            batch_tokens: the number of tokens in a batch, with padding.
            bar: whether a progress bar is shown.
        """
        train, measured = (
            states_of_layers(network, self.examples.task_type, side[number], self.special[number], batch_tokens, bar)
            for side in self.units
        )
        return train, measured

    def probe_layer(self, number: int, layer: int, train: States, measured: States) -> LayerResult:
        """Return the results of one layer of an encoder, from its states [N, H]. BLAS uses as many threads as torch."""
        with blas_threads(torch.get_num_threads()):
            return self._probe_layer(layer, train, measured, self.units[1][number])

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
        if self.metrics is None:
            return {}
        scores = torch.from_numpy(probe.scores(measured, len(self.examples.labels)))
        metrics = self.metrics()
        predictions = self.examples.task_type.decode(scores, units, self.examples.labels)
        metrics.update(None, predictions, [unit.example for unit in units])
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
            [found[0], *(with_difference(each, found[0]) for each in found[1:])],
            self.examples.labels,
            self.examples.of_words,
            counts | {"held_out": int(self.held_out.sum())},
            float((self.measured.targets == majority).mean()),
            word_majority,
        )


def _counts(name: str, side: Labelled) -> dict[str, int]:
    return {f"{name}_examples": len(np.unique(side.sentence)), f"{name}_states": len(side.targets)}
