"""The sections about the predictions that a run has kept: what is confused, and the worst errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bert_lightning.errors import UserError
from bert_lightning.html_page.markup import element
from bert_lightning.html_page.number_formats import number
from bert_lightning.html_page.self_contained import Section
from bert_lightning.runs.predictions_file import MASKED_WORDS, Predictions, read_predictions
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.tasks.example_inputs import validation_inputs
from bert_lightning.tasks.task_predictions import VALIDATION
from bert_lightning.visualization.answer_errors import answer_errors
from bert_lightning.visualization.choice_errors import choice_errors, minimal_pair_errors, other_errors
from bert_lightning.visualization.class_errors import class_errors
from bert_lightning.visualization.error_cards import Inputs
from bert_lightning.visualization.number_errors import number_errors, similarity_errors
from bert_lightning.visualization.page_part import PagePart
from bert_lightning.visualization.ranking_errors import ranking_errors
from bert_lightning.visualization.word_errors import named_entity_errors, word_errors

_SHOWN: dict[str, Callable[[Predictions, Mapping[str, Inputs], int], PagePart]] = {
    "text_classification": class_errors,
    "pair_classification": class_errors,
    "text_pair_regression": number_errors,
    "text_pair_similarity": similarity_errors,
    "tagged_words": named_entity_errors,
    "word_classification": word_errors,
    "questions": answer_errors,
    "choices": choice_errors,
    "contrastive_pairs": ranking_errors,
    "retrieval": ranking_errors,
    "minimal_pairs": minimal_pair_errors,
}


def prediction_sections(path: Path, most: int) -> PagePart:
    """Return the sections about a file of predictions, `<run>/predictions/<name>.jsonl`.

    Args:
        path: the file.
        most: the number of errors to show.

    Raises:
        UserError: if the file is missing or damaged, or has no rows.
    """
    if path.stem == MASKED_WORDS:
        raise UserError(f"{path} has masked words of several texts: give one text, to see what is predicted in it")
    predictions = read_predictions(path)
    if not predictions.rows:
        raise UserError(f"{path} has no predictions: measure the run with bert-lightning evaluate")
    kind = predictions.about.get("task_type")
    shown = _SHOWN.get(kind, other_errors) if isinstance(kind, str) else other_errors
    part = shown(predictions, validation_inputs(RunFolder(path.absolute().parent.parent)), most)
    about = predictions.about
    metrics = [(name, value) for name, value in about["metrics"].items() if isinstance(value, float | int)]
    facts = [f"task {about['task']}", f"split {about['split']}", f"checkpoint {about['checkpoint']}"]
    facts += [f"{name} {number(float(value), 3)}" for name, value in metrics]
    first, *rest = part.sections
    line = element("p", [element("span", fact) for fact in facts], class_="facts above")
    return PagePart([Section(first.name, first.heading, [line, *first.parts]), *rest], part.sentences)


def predictions_path(run: str, name: str | None) -> Path:
    """Return the path of a run's predictions.

    Args:
        run: the folder of the run, or a checkpoint in it.
        name: the name of the predictions, or the path of a `.jsonl` file; None: those of the last validation.

    Raises:
        UserError: if there is no such file. The message names those that the run has.
    """
    if name is not None and name.endswith(".jsonl"):
        return Path(name).expanduser()
    place = Path(run).expanduser()
    folder = RunFolder(place.parent.parent if place.is_file() else place).predictions  # a .ckpt file, or a run
    path = folder / f"{name or VALIDATION}.jsonl"
    if not path.is_file():
        there = sorted({each.stem for each in folder.glob("*.jsonl")} - {MASKED_WORDS})
        fix = f"give predictions={' or '.join(there[:4])}, " if there else ""
        raise UserError(f"{path} does not exist: {fix}give a text, or file=... with texts to embed")
    return path
