"""Probe the encoder during pretraining: what does a linear classifier read from each layer, and since when?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import lightning.pytorch as pl
import numpy as np
import torch
from omegaconf import DictConfig
from tokenizers import Tokenizer

from bert_lightning.data.labelled.words import LabelledWords
from bert_lightning.errors import UserError
from bert_lightning.modules.base import EncoderModule
from bert_lightning.probes.linear_probe import check_scikit_learn
from bert_lightning.probes.probe_examples import ProbeExamples, read_probe_examples
from bert_lightning.probes.probe_results import LayerResult, best_layer
from bert_lightning.probes.probing import ProbeInput, Probing
from bert_lightning.runtime.collectives import gather_over_ranks
from bert_lightning.tasks.data import task_type_of
from bert_lightning.tasks.scheduled_evaluation import EvaluationSchedule, ScheduledEvaluation

_BATCH_TOKENS = 8192


@dataclass(frozen=True)
class MeasuredProbe:
    """Probes that are measured during a pretraining: their name in the log, the examples, and the schedule."""

    name: str
    examples: ProbeExamples
    max_length: int
    control_task: bool
    schedule: EvaluationSchedule

    def callback(self, tokenizer: Tokenizer, module: EncoderModule) -> ProbeEvaluation:
        """Return the callback that measures the probes. The arguments are those of `ProbeEvaluation`."""
        return ProbeEvaluation(self, tokenizer, module)


def read_measured_probe(key: str, entry: DictConfig) -> MeasuredProbe:
    """Return the probes of one entry of the config key `evaluations`.

    Raises:
        UserError: if scikit-learn is not installed, the task has no classes of words or texts, or its data cannot be
            read.
    """
    check_scikit_learn()
    if entry.control_task and not isinstance(task_type_of(entry.task), LabelledWords):
        raise UserError(f"evaluations.{key}.control_task=true needs words with classes, not texts: use false")
    with _naming(key):
        examples = read_probe_examples(entry.task, None, entry.max_states)
    schedule = EvaluationSchedule(list(entry.at), entry.every_steps)
    return MeasuredProbe(key, examples, entry.task.max_length, entry.control_task, schedule)


class ProbeEvaluation(ScheduledEvaluation):
    """A callback that trains and measures a probe of each layer during pretraining, as the verb `probe` does.

    The ranks share the layers. The accuracy of the best layer is logged as `val/<name>/accuracy`, that of each layer as
    `val/<name>/accuracy/layer_<number>`, and the number of the best layer as `val/<name>/best_layer`. Held-out training
    examples choose the best layer. With a control task there is `selectivity`, too. All values are NaN if a state is
    not a number.

    Args:
        measured: the probes.
        tokenizer: the tokenizer of the encoder.
        module: the module that is trained.

    Raises:
        UserError: if the examples do not suffice for a probe.
    """

    def __init__(self, measured: MeasuredProbe, tokenizer: Tokenizer, module: EncoderModule) -> None:
        super().__init__(measured.schedule)
        config = module.encoder.config
        length = min(measured.max_length, config.max_position_embeddings)
        with _naming(measured.name):
            self._probing = Probing(
                measured.examples, [ProbeInput(tokenizer, length)], None, control_task=measured.control_task
            )
        self._with_control = measured.control_task
        columns = ["accuracy", *(["selectivity"] if measured.control_task else [])]
        of_layers = [f"{each}/layer_{layer}" for each in columns for layer in range(config.num_hidden_layers + 1)]
        self.metric_names = [f"val/{measured.name}/{each}" for each in (*columns, "best_layer", *of_layers)]

    def measure(self, trainer: pl.Trainer, module: EncoderModule) -> dict[str, float]:
        """Return the accuracies by their names in the log."""
        mine: list[LayerResult] = []
        with torch.autocast(module.device.type, enabled=False):  # float32, whatever the precision of training
            train, measured = self._probing.states(0, module.encoder, _BATCH_TOKENS, bar=False)
        if np.isfinite(train).all() and np.isfinite(measured).all():
            own = range(trainer.global_rank, len(train), trainer.world_size)
            mine = [self._probing.probe_layer(0, layer, train[layer], measured[layer]) for layer in own]
        found = sorted(chain(*gather_over_ranks(mine)), key=lambda result: result.layer)
        values = self._values(found) if len(found) == len(train) else [math.nan] * len(self.metric_names)
        return dict(zip(self.metric_names, values, strict=True))

    def _values(self, layers: Sequence[LayerResult]) -> list[float]:
        """Return the values in the order of `metric_names`, from the results of all layers."""
        best = best_layer(layers).layer
        columns = [[each.accuracy.estimate for each in layers]]
        if self._with_control:
            columns.append([math.nan if each.selectivity is None else each.selectivity.estimate for each in layers])
        return [*(column[best] for column in columns), float(best), *chain(*columns)]


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Say in an error which entry of `evaluations` it is about."""
    try:
        yield
    except UserError as error:
        dot = "." if str(error).startswith("task.") else ": "
        raise UserError(f"evaluations.{key}{dot}{error}") from None
