"""Check that the class of a `_target_` fits its config key: it has the right base class, or the needed methods.

A class of the user's own may have the right parameters and still be the wrong kind of class. It is refused here, by
its key, and not by torch in the middle of a run. What a function returns is not known before it is called.
"""

from __future__ import annotations

import inspect
from typing import Any

import hydra

from bert_lightning.errors import UserError

# Dotted config key -> its base class; * stands for any one part. A class that the program only calls needs no base.
_BASES = {
    "budget": "bert_lightning.budget.Budget",
    "callbacks.*": "lightning.pytorch.Callback",
    "data.corpus": "bert_lightning.text.corpora.Corpus",
    "metrics.*.*": "torchmetrics.Metric",
    "objective.terms.*": "bert_lightning.objectives.base.Objective",
    "optimizer": "torch.optim.Optimizer",
    "task.metrics.*": "bert_lightning.metrics.task_metrics.TaskMetric",
    "task.objective": "bert_lightning.objectives.base.Objective",
    "task.type": "bert_lightning.data.labelled.task_types.TaskType",
}
_METHODS = {"examples": ["__len__"], "masking": ["__call__"], "schedule": ["__call__"],
            "tokenizer": ["__call__", "files"]}  # fmt: skip


def check_interface(target: str, path: str) -> None:
    """Check that a target which is a class fits its place.

    Args:
        target: dotted name that can be imported.
        path: dotted config key of the mapping with the `_target_`.

    Raises:
        UserError: if the class has the wrong base, or lacks a method; the message names both.
    """
    found: Any = hydra.utils.get_object(target)
    if not inspect.isclass(found):
        return
    base = next((base for key, base in _BASES.items() if _fits(path, key)), None)
    if base and not issubclass(found, hydra.utils.get_class(base)):
        raise UserError(f"{path}._target_={target} must be a subclass of {base}: derive it from there")
    for method in _METHODS.get(path, ()):
        if not any(method in vars(each) for each in found.__mro__):
            raise UserError(f"{path}._target_={target} must have a method {method}: define it")


def _fits(path: str, key: str) -> bool:
    parts, wanted = path.split("."), key.split(".")
    return len(parts) == len(wanted) and all(want in ("*", part) for part, want in zip(parts, wanted, strict=True))
