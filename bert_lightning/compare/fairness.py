"""Check whether a comparison is fair: what must be equal in all arms, what differs, and which measures that spoils."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bert_lightning.compare.labelled_runs import LabelledRun
from bert_lightning.compare.results import FairnessCheck
from bert_lightning.runs.run_records import RunRecord

_TOKENIZER = "tokenizer fingerprint"
EQUAL, DIFFERENT, UNKNOWN = "equal", "different", "unknown"
BUDGET_TOLERANCE = 0.01  # budgets that differ by less are equal


@dataclass(frozen=True)
class _Respect:
    """One respect in which runs can differ: a name, facts of a run by key, and why a difference matters."""

    name: str
    facts: Callable[[LabelledRun], Mapping[str, Any]]
    matters: str = ""


def fairness_checks(runs: Sequence[LabelledRun], equal: Sequence[str] = ()) -> list[FairnessCheck]:
    """Return the checks of the runs that have a summary. `equal` has config keys that a study wants to be equal."""
    measured = [run for run in runs if run.record.summary]
    pretrained = [run for run in measured if run.task is None]
    checks = []
    if pretrained:
        checks = [_data_check(pretrained), _budget_check(pretrained), *(_check(r, pretrained) for r in _PRETRAINING)]
    for task in dict.fromkeys(run.task for run in measured if run.task is not None):
        own = [run for run in measured if run.task == task]
        checks.append(_check(_Respect(f"{task}: training examples", _data, "the arms learned from other data"), own))
        checks.append(_check(_Respect(f"{task}: fine-tuning settings", _finetuning_settings), own))
    checks += [_check(respect, measured) for respect in _ANY_RUN if measured]
    checks += [
        _check(_Respect(f"{key}, which the study holds equal", _config_key(key), "the study says so"), pretrained)
        for key in equal
        if pretrained and key not in ("budget", "data")
    ]
    return checks


def incomparable_losses(runs: Sequence[LabelledRun]) -> str:
    """Return why the losses per token of pretraining do not compare; empty if they do.

    They compare if all arms predict the same tokens: the same tokenizer, data and validation sequences.
    """
    pretrained = [run for run in runs if run.task is None and run.record.summary]
    if not pretrained:
        return ""
    checks = [_data_check(pretrained), *(_check(respect, pretrained) for respect in _SAME_VALIDATION)]
    *others, last = [check.name for check in checks if check.status == DIFFERENT] or [""]
    return f"{', '.join(others)} and {last}" if others else last


def _check(respect: _Respect, runs: Sequence[LabelledRun]) -> FairnessCheck:
    """Compare the facts of all runs. The values of an arm are joined if its own runs differ."""
    facts = [respect.facts(run) for run in runs]
    keys = list(dict.fromkeys(key for each in facts for key in each))
    differing = [key for key in keys if len({repr(each.get(key)) for each in facts}) > 1]
    if not differing:
        known = any(value is not None for each in facts for value in each.values())
        return FairnessCheck(respect.name, EQUAL if known else UNKNOWN, keys, matters=respect.matters)
    values: dict[str, Any] = {}
    for key in differing:
        by_arm: dict[str, list[str]] = {}
        for run, each in zip(runs, facts, strict=True):
            by_arm.setdefault(run.arm, []).append(_shown(each.get(key)))
        for arm, found in by_arm.items():
            text = " | ".join(dict.fromkeys(found))
            values[arm] = f"{values[arm]}, {key}={text}" if arm in values else f"{key}={text}"
    return FairnessCheck(respect.name, DIFFERENT, differing, values, respect.matters)


def _data_check(runs: Sequence[LabelledRun]) -> FairnessCheck:
    """Compare the text of pretraining: the settings of the corpus, and the fingerprints of its tokens.

    The fingerprint is of token ids, so it is compared among runs of one tokenizer.
    """
    matters = "the arms learned from other text"
    check = _check(_Respect("training data", _corpus, matters), runs)
    if check.status == DIFFERENT:
        return check
    for tokenizer in dict.fromkeys(_tokenizer(run).get(_TOKENIZER) for run in runs):
        same = [run for run in runs if _tokenizer(run).get(_TOKENIZER) == tokenizer]
        found = _check(_Respect("training data", _data, matters), same)
        if found.status != EQUAL:
            return found
    return FairnessCheck("training data", EQUAL, ["data", "data fingerprint"], matters=matters)


def _budget_check(runs: Sequence[LabelledRun]) -> FairnessCheck:
    """Compare what the runs spent of their budgets, in the unit of the budget."""
    matters = "an arm that spends more has an advantage"
    spent = [(run.arm, *_spent(run.record)) for run in runs]
    units = {unit for _, unit, _ in spent}
    amounts = [amount for _, _, amount in spent if amount is not None]
    values = {arm: f"{_shown(amount)} {unit}" for arm, unit, amount in spent}
    if None in units or not amounts:
        return FairnessCheck("budget", UNKNOWN, ["budget"], values, matters)
    same = len(units) == 1 and max(amounts) <= (1 + BUDGET_TOLERANCE) * min(amounts)
    return FairnessCheck("budget", EQUAL if same else DIFFERENT, ["budget"], {} if same else values, matters)


def _spent(record: RunRecord) -> tuple[str | None, float | None]:
    budget = record.summary.get("budget")
    if not isinstance(budget, dict):
        return None, None
    amount = budget.get("spent")
    return budget.get("unit"), float(amount) if isinstance(amount, int | float) and math.isfinite(amount) else None


def _data(run: LabelledRun) -> dict[str, Any]:
    return {"data fingerprint": run.record.summary.get("data_fingerprint")}


def _corpus(run: LabelledRun) -> dict[str, Any]:
    return {key: value for key, value in run.settings.items() if key.startswith("data.")}


def _tokenizer(run: LabelledRun) -> dict[str, Any]:
    return {_TOKENIZER: run.record.summary.get("tokenizer_fingerprint")}


def _validation(run: LabelledRun) -> dict[str, Any]:
    """Return what determines the validation sequences. Their masks have a fixed seed and rate."""
    return {key: value for key, value in run.settings.items() if re.match(r"examples\.|validation_examples$", key)}


def _keys(*names: str) -> Callable[[LabelledRun], dict[str, Any]]:
    return lambda run: {name: run.record.settings().get(name) for name in names}


def _config_key(key: str) -> Callable[[LabelledRun], dict[str, Any]]:
    def facts(run: LabelledRun) -> dict[str, Any]:
        return {name: value for name, value in run.settings.items() if name == key or name.startswith(f"{key}.")}

    return facts


def _finetuning_settings(run: LabelledRun) -> dict[str, Any]:
    return {key: value for key, value in run.settings.items() if key.startswith("finetune.")}


def _hardware(run: LabelledRun) -> dict[str, Any]:
    return {name: run.record.summary.get(name) for name in ("processor", "torch_threads", "ranks")}


def _software(run: LabelledRun) -> dict[str, Any]:
    versions = run.record.summary.get("versions")
    torch = versions.get("torch") if isinstance(versions, dict) else None
    return {"commit": run.record.summary.get("commit"), "torch": torch}


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_SAME_VALIDATION = (
    _Respect("tokenizer", _tokenizer, "losses per token of different tokenizers do not compare"),
    _Respect("validation sequences", _validation, "the arms predict other tokens, so their losses do not compare"),
)
_PRETRAINING = (
    *_SAME_VALIDATION,
    _Respect("batch size", _keys("batch_size", "batch_tokens", "trainer.accumulate_grad_batches")),
    _Respect("precision", _keys("trainer.precision"), "rounding differs"),
)
_ANY_RUN = (
    _Respect("hardware", _hardware, "times and budgets in minutes do not compare"),
    _Respect("software", _software, "the arms were made by different code"),
)
