"""Measure minimal pairs during pretraining: which phenomena of language does the encoder know, and since when?"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import lightning.pytorch as pl
import torch
from omegaconf import DictConfig
from tokenizers import Tokenizer

from bert_lightning.data.labelled.minimal_pairs import MinimalPairs, credit
from bert_lightning.data.labelled.task_types import Example
from bert_lightning.errors import UserError
from bert_lightning.modules.base import EncoderModule
from bert_lightning.runtime.collectives import gather_over_ranks
from bert_lightning.tasks.data import read_examples, task_type_of
from bert_lightning.tasks.pseudo_likelihood import TOKENS_PER_UNIT, PseudoLikelihood
from bert_lightning.tasks.scheduled_evaluation import EvaluationSchedule, ScheduledEvaluation
from bert_lightning.text.tokenizers.recipes import SpecialIds

_BATCH_TOKENS = 32 * TOKENS_PER_UNIT


@dataclass(frozen=True)
class MeasuredPairs:
    """Minimal pairs that are measured during a pretraining: their name in the log, the pairs, and the schedule."""

    name: str
    task_type: MinimalPairs
    pairs: Sequence[Example]
    max_length: int
    schedule: EvaluationSchedule

    def callback(self, tokenizer: Tokenizer, module: EncoderModule) -> PairEvaluation:
        """Return the callback that measures the pairs. The arguments are those of `PairEvaluation`."""
        return PairEvaluation(self, tokenizer, module)


def read_measured_pairs(key: str, entry: DictConfig) -> MeasuredPairs:
    """Return the pairs of one entry of the config key `evaluations`.

    Raises:
        UserError: if the entry is no task of minimal pairs, or its data cannot be read.
    """
    task_type = task_type_of(entry.task)
    if not isinstance(task_type, MinimalPairs):
        raise UserError(
            f"evaluations.{key} is no task of minimal pairs: give evaluations.{key}.max_states=2000 to probe 2,000 "
            "words or texts"
        )
    if entry.task.path is None and entry.task.hub is None:
        raise UserError(f"evaluations.{key}.task.path has no value: give the file, or the folder, of the pairs")
    pairs = read_examples(entry.task, entry.task.validation_split, task_type, None)
    schedule = EvaluationSchedule(list(entry.at), entry.every_steps)
    return MeasuredPairs(task_type.measured_name(key), task_type, pairs, entry.task.max_length, schedule)


class PairEvaluation(ScheduledEvaluation):
    """A callback that measures minimal pairs during pretraining.

    The ranks share the pairs. The accuracy is logged overall as `val/<name>/accuracy`, and for each phenomenon as
    `val/<name>/accuracy/<phenomenon>`. It is NaN if a score is NaN.

    Args:
        measured: the pairs.
        tokenizer: the tokenizer of the encoder.
        module: the module that is trained.

    Raises:
        UserError: if the module has no masked-word head, or the tokenizer no mask token.
    """

    def __init__(self, measured: MeasuredPairs, tokenizer: Tokenizer, module: EncoderModule) -> None:
        super().__init__(measured.schedule)
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

    def measure(self, trainer: pl.Trainer, module: EncoderModule) -> dict[str, float]:
        """Return the accuracies by their names in the log."""
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
