"""Which methods of a loaded checkpoint have an answer, by the heads and the task that it was trained with."""

from __future__ import annotations

from bert_lightning.data.labelled.questions import Questions
from bert_lightning.data.labelled.task_types import TaskType
from bert_lightning.data.labelled.texts import TextClassification, TextPairRegression
from bert_lightning.data.labelled.words import TaggedWords
from bert_lightning.errors import UserError
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.tasks.metadata import class_of_part

_OF_TASK: dict[str, type[TaskType]] = {"classify": TextClassification, "entities": TaggedWords, "answer": Questions}
_OF_ENCODER = ("embed", "similarity", "attention")


def served_methods(source: PretrainedWeights) -> list[str]:
    """Return the names of the methods that a checkpoint can serve. Those of its own head come first."""
    if (task := source.metadata.get("task")) is not None:
        kind = class_of_part(source.path, task, "type")
        own = [name for name, base in _OF_TASK.items() if issubclass(kind, base)]
        return [*(own if not issubclass(kind, TextPairRegression) else []), "predict", *_OF_ENCODER]
    return [*(("fill_mask", "score", "token_predictions") if source.masked_lm_term() is not None else ()), *_OF_ENCODER]


def check_serves(source: PretrainedWeights, method: str) -> None:
    """Check that a checkpoint can serve a method.

    Raises:
        UserError: if it cannot. The message says what it was trained for, and which methods it serves.
    """
    served = served_methods(source)
    if method not in served:
        of_words = method in ("fill_mask", "score", "token_predictions")
        other = "pretrained with a masked language model head" if of_words else "fine-tuned for such a task"
        raise UserError(
            f"{source.path} has no {method}, since it was {trained_for(source)}: use {', '.join(served)}, or load a "
            f"checkpoint that was {other}"
        )


def trained_for(source: PretrainedWeights) -> str:
    """Return what a checkpoint was trained for, in a few words."""
    if (task := source.metadata.get("task")) is not None:
        return f"fine-tuned for {task['type'].get('_target_')}"
    heads = ", ".join(source.head_types().values())
    return f"pretrained with the heads {heads}" if heads else "saved without a known head"
