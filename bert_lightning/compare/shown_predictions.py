"""Choose the predictions that a comparison shows: examples with disagreement first, filled-in words, and categories."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bert_lightning.compare.labelled_runs import LabelledRun
from bert_lightning.compare.results import Breakdown, ComparedExample
from bert_lightning.compare.task_measurements import metric_values
from bert_lightning.compare.word_measurements import words_by_band
from bert_lightning.errors import UserError
from bert_lightning.runs.predictions_file import BITS_PER_BYTE, MASKED_WORDS, Predictions, read_predictions
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.run_records import ENDED

MOST_EXAMPLES = 20  # examples shown for each task, and masked sentences
MOST_CATEGORIES = 80  # more categories make no readable table
_LONGEST = 400  # characters of a text

Kept = list[tuple[LabelledRun, Predictions]]


def compared_examples(runs: Sequence[LabelledRun]) -> list[ComparedExample]:
    """Return examples of each task with the predictions of all runs, and masked sentences. Disagreement comes first."""
    found: list[ComparedExample] = []
    for task in _tasks(runs):
        kept = _kept([run for run in runs if run.task == task], "validation")
        found += _of_task(task, kept, _texts([run for run, _ in kept]))
    return found + _masked_sentences(_kept([run for run in runs if run.task is None], MASKED_WORDS))


def breakdowns(runs: Sequence[LabelledRun]) -> list[Breakdown]:
    """Return the accuracy of each arm by the right class or the cluster of the examples, and masked words by band."""
    found = []
    for task in _tasks(runs):
        kept = _kept([run for run in runs if run.task == task], "validation")
        found += _by_category(f"{task}: accuracy by class", f"{task}/accuracy", kept, "gold")
    pretrained = [run for run in runs if run.task is None]
    names = {p.stem for run in pretrained for p in RunFolder(run.record.path).predictions.glob("*.jsonl")}
    for name in sorted(names - {MASKED_WORDS}):
        kept = _kept(pretrained, name)
        title = str(kept[0][1].about["task"]) if kept else name
        found += _by_category(f"{title}: accuracy by category", f"{title}/accuracy", kept, "cluster")
    return found + words_by_band([(run.arm, predictions) for run, predictions in _kept(pretrained, MASKED_WORDS)])


def _tasks(runs: Sequence[LabelledRun]) -> list[str]:
    return list(dict.fromkeys(run.task for run in runs if run.task is not None))


def _kept(runs: Sequence[LabelledRun], name: str) -> Kept:
    """Return the predictions of the ended runs that have them. A damaged file is noted where it is measured."""
    found: Kept = []
    for run in runs:
        path = RunFolder(run.record.path).predictions / f"{name}.jsonl"
        if run.record.state != ENDED or not path.is_file():
            continue
        try:
            found.append((run, read_predictions(path)))
        except UserError:
            continue
    return found


def _of_task(task: str, kept: Kept, texts: Mapping[str, str]) -> list[ComparedExample]:
    if not kept:
        return []
    by_id: dict[str, dict[str, list[str]]] = {}
    gold: dict[str, str] = {}
    for run, predictions in kept:
        for row in predictions.rows:
            by_id.setdefault(row["id"], {}).setdefault(run.arm, []).append(_text(row.get("prediction")))
            gold.setdefault(row["id"], _text(row.get("gold")))
    ranked = sorted(by_id, key=lambda example: (-_disagreement(by_id[example]), example))[:MOST_EXAMPLES]
    return [
        ComparedExample(task, example, texts.get(example, "")[:_LONGEST], gold[example], by_id[example],
                        _disagreement(by_id[example]))
        for example in ranked
    ]  # fmt: skip


def _disagreement(predictions: Mapping[str, Sequence[str]]) -> float:
    """Return the fraction of pairs of predictions that differ, from 0 (all equal) to 1 (no two equal)."""
    counts = Counter(text for texts in predictions.values() for text in texts)
    total = counts.total()
    equal = sum(count * (count - 1) for count in counts.values())
    return 1 - equal / (total * (total - 1)) if total > 1 else 0.0


def _masked_sentences(kept: Kept) -> list[ComparedExample]:
    """Return the first masked word of each passage that all arms have, with the word that each run fills in."""
    found: dict[str, ComparedExample] = {}
    for run, predictions in kept:
        for row in predictions.rows[: 10 * MOST_EXAMPLES]:
            try:
                text, (start, end), word = row["text"], row["words"][0], row["predictions"][0]
                sentence = f"{text[:start]}[MASK]{text[end:]}"[:_LONGEST]
                shown = ComparedExample(BITS_PER_BYTE, row["id"], sentence, text[start:end], {}, 0.0, masked=True)
            except (KeyError, IndexError, TypeError, ValueError):
                continue
            found.setdefault(row["id"], shown).predictions.setdefault(run.arm, []).append(_text(word))
    arms = {run.arm for run, _ in kept}
    whole = [e for e in found.values() if set(e.predictions) == arms]
    whole.sort(key=lambda e: (-_disagreement(e.predictions), e.id))
    return [
        ComparedExample(e.measure, e.id, e.text, e.gold, e.predictions, _disagreement(e.predictions), masked=True)
        for e in whole[:MOST_EXAMPLES]
    ]


def _texts(runs: Sequence[LabelledRun]) -> dict[str, str]:
    """Return the text of each example of a task by its id, from the data of the first run, if they are at hand."""
    from bert_lightning.tasks.example_inputs import validation_inputs

    inputs = validation_inputs(RunFolder(runs[0].record.path)) if runs else {}
    return {name: " | ".join(_text(part) for part in parts.values()) for name, parts in inputs.items()}


def _by_category(title: str, measure: str, kept: Kept, key: str) -> list[Breakdown]:
    """Return the mean accuracy of each arm in each category of the examples, if there are a few categories."""
    sums: dict[str, dict[str, list[float]]] = {}
    counts: Counter[str] = Counter()
    for number, (run, predictions) in enumerate(kept):
        try:
            values = metric_values(predictions, "accuracy").get("accuracy", (0.0, None))[1]
        except UserError:
            values = None
        if values is None:
            return []
        for row, value in zip(predictions.rows, values.tolist(), strict=True):
            if not isinstance(category := row.get(key), str):
                return []
            counts[category] += number == 0
            if not np.isnan(value):
                sums.setdefault(run.arm, {}).setdefault(category, []).append(value)
    categories = sorted(counts)
    if not 2 <= len(categories) <= MOST_CATEGORIES:
        return []
    table: dict[str, list[float | None]] = {
        arm: [float(np.mean(own[c])) if c in own else None for c in categories] for arm, own in sums.items()
    }
    return [Breakdown(title, measure, categories, [counts[c] for c in categories], table)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
