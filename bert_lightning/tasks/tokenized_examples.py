"""Examples and their tokens, kept for further checkpoints that need the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from tokenizers import Tokenizer

from bert_lightning.data.labelled.task_types import Example, TaskType, Unit
from bert_lightning.tasks.data import read_examples
from bert_lightning.text.tokenizers.recipes import fingerprint


class TokenizedExamples:
    """The examples of tasks, which are read once, and their units, which are tokenized once for each tokenizer."""

    def __init__(self) -> None:
        self._examples: dict[Any, list[Example]] = {}
        self._units: dict[Any, tuple[Sequence[Example], list[Unit]]] = {}

    def read(self, task: DictConfig, split: str, task_type: TaskType, limit: int | None) -> list[Example]:
        """Return the examples of one split, as `read_examples` does."""
        content = json.dumps(OmegaConf.to_container(task, resolve=True), sort_keys=True, default=str)
        key = content, split, limit
        if key not in self._examples:
            self._examples[key] = read_examples(task, split, task_type, limit)
        return self._examples[key]

    def units(
        self, task_type: TaskType, examples: Sequence[Example], tokenizer: Tokenizer, max_length: int
    ) -> list[Unit]:
        """Return the units of examples, as the task type encodes them."""
        if not examples:
            return []
        # Two task types of one class with equal settings encode alike. The examples are kept, so that no others have
        # their `id`.
        key = id(examples), type(task_type), repr(task_type), fingerprint(tokenizer), max_length
        if key not in self._units:
            self._units[key] = examples, task_type.encode(examples, tokenizer, max_length)
        return self._units[key][1]
