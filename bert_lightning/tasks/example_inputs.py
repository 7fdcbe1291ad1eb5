"""Find the inputs of the examples that a run predicted. Files of predictions have only their ids."""

from __future__ import annotations

from typing import Any

from bert_lightning.config.saved import saved_task
from bert_lightning.errors import UserError
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.tasks.data import read_examples, task_type_of
from bert_lightning.tasks.task_predictions import example_ids


def validation_inputs(run: RunFolder) -> dict[str, dict[str, Any]]:
    """Return the inputs of the validation examples of a fine-tuned run by their ids.

    The result is empty if the data are not at hand. The hub is not asked, so that no network is needed.
    """
    try:
        task = saved_task(run)
        if task is None or (task.path is None and task.hub is not None):
            return {}
        examples = read_examples(task, task.validation_split, task_type_of(task), None)
    except (UserError, OSError):
        return {}
    return dict(zip(example_ids(examples), (example.inputs for example in examples), strict=True))
