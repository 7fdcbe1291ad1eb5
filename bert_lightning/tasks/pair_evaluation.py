"""Measure minimal pairs during pretraining: which phenomena of language does the encoder know, and since when?

The pairs are measured at every validation, like masked words, and at further updates in between. Early in training the
further updates show what validation is too rare for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig
from tokenizers import Tokenizer

from bert_lightning.budget import Budget
from bert_lightning.callbacks.pause import training_paused, validation_follows
from bert_lightning.data.labelled.minimal_pairs import MinimalPairs, credit
from bert_lightning.data.labelled.task_types import Example
from bert_lightning.errors import UserError
from bert_lightning.modules.base import EncoderModule
from bert_lightning.runtime.collectives import gather_over_ranks
from bert_lightning.tasks.data import read_examples, task_type_of
from bert_lightning.tasks.pseudo_likelihood import TOKENS_PER_UNIT, PseudoLikelihood
from bert_lightning.text.tokenizers.recipes import SpecialIds

_BATCH_TOKENS = 32 * TOKENS_PER_UNIT


@dataclass(frozen=True)
class PairSchedule:
    """The updates at which pairs are measured in addition to validation.

    Args:
        at: fractions of the budget. The pairs are measured after the update that reaches one.
        every_steps: number of updates between two measurements; None: no measurements by number of updates.
    """

    at: Sequence[float]
    every_steps: int | None

    def is_due(self, step: int, budget: Budget) -> bool:
        """Return whether the pairs are measured after update `step`. This depends on no earlier measurement."""
        reached = any(budget.before < fraction * budget.total <= budget.spent for fraction in self.at)
        return reached or (self.every_steps is not None and step % self.every_steps == 0)


@dataclass(frozen=True)
class MeasuredPairs:
    """Minimal pairs that are measured during a pretraining: their name in the log, the pairs, and the schedule."""

    name: str
    task_type: MinimalPairs
    pairs: Sequence[Example]
    max_length: int
    schedule: PairSchedule


def read_measured_pairs(evaluations: Mapping[str, DictConfig]) -> list[MeasuredPairs]:
    """Return the pairs of each entry of the config key `evaluations`.

    Raises:
        UserError: if an entry is no task of minimal pairs, or its data cannot be read.
    """
    found = []
    for key, entry in evaluations.items():
        task_type = task_type_of(entry.task)
        if not isinstance(task_type, MinimalPairs):
            raise UserError(
                f"evaluations.{key} is no task of minimal pairs, and pretraining measures no others: leave it out"
            )
        if entry.task.path is None and entry.task.hub is None:
            raise UserError(f"evaluations.{key}.task.path has no value: give the file, or the folder, of the pairs")
        pairs = read_examples(entry.task, entry.task.validation_split, task_type, None)
        schedule = PairSchedule(list(entry.at), entry.every_steps)
        found.append(MeasuredPairs(task_type.measured_name(key), task_type, pairs, entry.task.max_length, schedule))
    return found


class PairEvaluation(Callback):
    """A callback that measures minimal pairs at each validation, and at the further updates of a schedule.

    It changes nothing in training, and its seconds are not training time. The ranks share the pairs. The accuracy is
    logged overall as `val/<name>/accuracy`, and for each phenomenon as `val/<name>/accuracy/<phenomenon>`. It is NaN if
    a score is NaN. Only values from a validation can choose a checkpoint or stop the run.

    Args:
        measured: the pairs.
        tokenizer: the tokenizer of the encoder.
        module: the module that is trained.

    Raises:
        UserError: if the module has no masked-word head, or the tokenizer no mask token.
    """

    def __init__(self, measured: MeasuredPairs, tokenizer: Tokenizer, module: EncoderModule) -> None:
        head = module.objective.masked_lm_head()
        if head is None:
            raise UserError(
                f"evaluations: this objective trains no masked-word head ({_heads(module)}), so {measured.name} cannot "
                "be measured: use evaluations=none, and compare this run by fine-tuning it"
            )
        special = SpecialIds.of(tokenizer)
        self.measured, self._mask, self._pad, self._head = measured, special.require_mask(), special.pad, head
        length = min(measured.max_length, module.encoder.config.max_position_embeddings)
        self._units = measured.task_type.encode(measured.pairs, tokenizer, length)
        self.metric_names = list(self._values([0.0] * len(measured.pairs)))
        self._step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._step = trainer.global_step

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.log_dict(self._measure(trainer, pl_module))

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        if trainer.global_step == self._step:  # an update of several batches is under way
            return
        self._step = trainer.global_step
        assert isinstance(pl_module, EncoderModule), "pretraining has a budget"
        if validation_follows(trainer) or not self.measured.schedule.is_due(self._step, pl_module.budget):
            return
        with training_paused(trainer, pl_module):
            values = self._measure(trainer, pl_module)
        for logger in trainer.loggers:  # at the step of the update's own row
            logger.log_metrics(values, self._step - 1)

    def _measure(self, trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, float]:
        """Return the accuracies by their names in the log. Every rank must call this at the same update."""
        assert isinstance(module, EncoderModule), "pretraining has an encoder"
        mine, task_type = self._units[trainer.global_rank :: trainer.world_size], self.measured.task_type
        credits: list[float] = []
        if mine:
            rest = task_type.mask_rest_of_word
            score = PseudoLikelihood(module.encoder, self._head, self._mask, self._pad, rest, bar=False)
            with torch.autocast(module.device.type, enabled=False):  # float32, whatever the precision of training
                scores = score([tokens for unit in mine for tokens in unit.sequences], _BATCH_TOKENS).view(-1, 2)
            known = (~scores.isnan().any(1)).tolist()
            predictions = task_type.decode(scores, mine, [])
            credits = [credit(p) if is_known else math.nan for p, is_known in zip(predictions, known, strict=True)]
        return self._values(_in_turn(gather_over_ranks(credits)))

    def _values(self, credits: Sequence[float]) -> dict[str, float]:
        """Return the accuracies by their names in the log, from 1, 0 or 0.5 for each pair."""
        name = f"val/{self.measured.name}/accuracy"
        groups: dict[str, list[float]] = {}
        for example, value in zip(self.measured.pairs, credits, strict=True):
            groups.setdefault(re.sub(r"[^\w.-]", "_", example.inputs["phenomenon"]), []).append(value)
        single = {f"{name}/{phenomenon}": _mean(values) for phenomenon, values in groups.items()}
        return {name: _mean(credits), **(single if len(groups) > 1 else {})}


def _in_turn(ranks: Sequence[Sequence[float]]) -> list[float]:
    """Return the values of all ranks in the order of the pairs, which the ranks took in turn."""
    return [ranks[i % len(ranks)][i // len(ranks)] for i in range(sum(map(len, ranks)))]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _heads(module: EncoderModule) -> str:
    return ", ".join(module.objective.head_types().values()) or "no known head"
