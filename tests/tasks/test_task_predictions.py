"""The ids and the rows of a task's predictions."""

import json
import random
from itertools import product

import pytest

from bert_lightning.data.batching.sampler import SequentialBatches
from bert_lightning.data.labelled.questions import Questions
from bert_lightning.data.labelled.task_types import Example
from bert_lightning.data.labelled.texts import TextClassification
from bert_lightning.data.labelled.words import TaggedWords
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.tasks.task_predictions import _in_order, about_task, data_hash, example_ids, keep_predictions
from bert_lightning.tasks.task_predictions import plain_name as name_of
from bert_lightning.text.files.rows import Row


def rows_of(*columns, names=("text", "label")):
    return [Row(f"row {i}", dict(zip(names, values, strict=True))) for i, values in enumerate(columns)]


TEXTS = rows_of(*((f"text {i % 9}", "yes" if i % 2 else "no") for i in range(40)))  # with equal rows
GIVEN = rows_of(*((f"text {i}", "no", i + 100) for i in range(9)), names=("text", "label", "id"))
TWICE = rows_of(*((f"text {i % 6}", "no", i // 2) for i in range(9)), names=("text", "label", "id"))


@pytest.mark.parametrize("rows", [TEXTS, GIVEN, TWICE], ids=["without ids", "with ids", "with ids given twice"])
def test_ids_do_not_depend_on_the_order_of_the_rows(rows):
    task_type = TextClassification()
    examples = task_type.examples(rows)
    ids = example_ids(examples)
    assert len(set(ids)) == len(rows)
    shuffled = random.Random(1).sample(rows, len(rows))
    again = task_type.examples(shuffled)
    content = [(e.inputs["text"], e.answer, i) for e, i in zip(examples, ids, strict=True)]
    assert sorted(content) == sorted(
        (e.inputs["text"], e.answer, i) for e, i in zip(again, example_ids(again), strict=True)
    )
    assert data_hash(examples) == data_hash(again) != data_hash(examples[1:])


def test_an_id_in_the_row_is_the_id():
    assert example_ids(TextClassification().examples(GIVEN)) == [str(i + 100) for i in range(9)]
    assert example_ids(TextClassification().examples(TWICE))[-1] == "4"  # the only one that is given once
    assert example_ids(TextClassification().examples(TWICE))[0].startswith("0-")


def test_ids_of_equal_rows_meet_no_other_id():
    examples = [Example("0", "", {"text": "a"}, "no", numbered=True)] * 3
    first, second, third = example_ids(examples)
    assert (second, third) == (f"{first}-2", f"{first}-3")
    taken = Example(f"{first}-2", "", {"text": "b"}, "no")
    assert len(set(example_ids([*examples, taken]))) == 4


def test_an_example_that_is_left_out_changes_no_other_id():
    examples = TextClassification().examples(TEXTS[:9])
    assert example_ids(examples[3:]) == example_ids(examples)[3:]


@pytest.mark.parametrize(("ranks", "size", "batch"), [*product((1, 2, 3), (7, 12, 13), (1, 2, 4))])
def test_the_rows_of_all_ranks_are_in_the_order_of_the_examples(ranks, size, batch):
    gathered = [[list(positions) for positions in SequentialBatches(size, batch, r, ranks)] for r in range(ranks)]
    assert _in_order(gathered) == list(range(size))


def test_no_row_holds_an_input():
    words = {"text": "Anna sleeps", "words": ["Anna", "sleeps"], "starts": [0, 5]}
    found = {
        "answer": ["B-PER", "O"],
        "entities": [{"text": "Anna", "type": "PER", "start": 0, "end": 4, "score": 0.9}],
    }
    row = TaggedWords().prediction_row(Example("0", "", words, ["B-PER", "B-X"]), found)
    assert row == {"gold": ["B-PER", "B-X"], "prediction": ["B-PER", "O"], "scores": [0.9]}
    question = {"question": "who?", "context": "Anna sleeps"}
    answers = [{"text": "Anna", "answer_start": 0}] * 2
    found = {"answer": "", "start": -1, "end": -1, "score": 0.0, "best_answer": "Anna", "null_odds": 2.5,
             "candidates": [{"text": "Anna", "start": 0, "end": 4, "score": 0.9}]}  # fmt: skip
    row = Questions(unanswerable=True).prediction_row(Example("0", "", question, answers), found)
    cluster = row.pop("cluster")
    assert row == {"gold": ["Anna"], "prediction": "", "start": -1, "end": -1, "best_answer": "Anna",
                   "scores": {"span": 0.0, "no_answer": 2.5}}  # fmt: skip
    other = Example("1", "", question | {"question": "what?"}, [])
    assert Questions(unanswerable=True).prediction_row(other, found)["cluster"] == cluster
    row = Questions().prediction_row(other, found)
    assert row.keys() == {"gold", "prediction", "start", "end", "scores", "cluster"}
    assert row["scores"] == {"span": 0.0}


class Own(TextClassification):
    """A task type of a user: its answer is a set, and it has no probabilities."""


def test_a_task_type_of_a_user_is_kept_as_the_one_it_is_derived_from(tmp_path):
    about = about_task("films", "test", Own(), ["a"], []) | {"checkpoint": "best.ckpt", "metrics": {}}
    example = Example("0", "", {"text": "a"}, {"a"}, numbered=True)
    rows = [Own().prediction_row(example, {"answer": {"a"}})]
    path = keep_predictions(RunFolder(tmp_path), "test", [example], rows, about)
    assert json.loads(path.read_text())["prediction"] == "{'a'}"
    assert json.loads(path.with_suffix(".json").read_text())["task_type"] == "text_classification"


def test_a_folder_that_cannot_be_written_is_noted(tmp_path, capsys):
    (tmp_path / "predictions").write_text("a file")
    assert keep_predictions(RunFolder(tmp_path), "test", [], [], {"checkpoint": "a", "metrics": {}}) is None
    assert "the predictions of test are not kept (File exists)" in capsys.readouterr().err


def test_a_name_is_the_name_of_a_file():
    assert name_of("mnli", "validation_mismatched", "0a1b") == "mnli-validation_mismatched-0a1b"
    assert name_of("../../etc") == "_._.._etc"
    assert name_of(".hidden") == "_hidden"
