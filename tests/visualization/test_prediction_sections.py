"""The parts of a page about kept predictions: counts and orders by hand, any text escaped, damage in one line."""

import json
import math
import re
from contextlib import suppress

import numpy as np
import pytest

from bert_lightning import UserError
from bert_lightning.data.labelled.conll import entities
from bert_lightning.runs.predictions_file import Predictions, write_predictions
from bert_lightning.visualization.confusion_matrix import MOST_CLASSES, confusion_parts, count_pairs
from bert_lightning.visualization.entity_counts import entity_errors
from bert_lightning.visualization.model_page import model_page
from bert_lightning.visualization.prediction_sections import _SHOWN, prediction_sections, predictions_path
from tests.compare.page.test_page import NASTY, Reader

ABOUT = {"split": "validation", "task": "films", "checkpoint": "last.ckpt", "metrics": {"accuracy": 0.5}, "labels": []}
ROWS = {
    "text_classification": [
        {"gold": "bad", "prediction": "good", "scores": {"bad": 0.4, "good": 0.6}},
        {"gold": "bad", "prediction": "bad", "scores": {"bad": 0.9, "good": 0.1}},
        {"gold": "good", "prediction": "bad", "scores": {"bad": 0.75, "good": 0.25}},
    ],
    "text_pair_regression": [{"gold": 1.0, "prediction": 1.5}, {"gold": 2.0, "prediction": 4.25},
                             {"gold": 5.0, "prediction": 5.0}],
    "text_pair_similarity": [{"gold": 0.0, "prediction": 0.1}, {"gold": 5.0, "prediction": 0.6},
                             {"gold": 2.5, "prediction": 0.35}],
    "tagged_words": [{"gold": ["B-PER", "I-PER", "O"], "prediction": ["B-PER", "I-PER", "O"], "scores": [0.9]},
                     {"gold": ["B-PER", "O", "B-LOC"], "prediction": ["B-LOC", "B-LOC", "O"], "scores": [0.5, 0.5]}],
    "word_classification": [{"gold": ["NOUN", "VERB"], "prediction": ["VERB", None], "scores": [0.5, 1.0]}],
    "questions": [{"gold": ["the cat"], "prediction": "A cat", "start": 0, "end": 5, "scores": {"span": 0.5}},
                  {"gold": ["the red dog"], "prediction": "dog", "start": 2, "end": 5, "scores": {"span": 0.5}},
                  {"gold": ["rain"], "prediction": "sun", "start": 1, "end": 4, "scores": {"span": 0.25}},
                  {"gold": ["rain"], "prediction": "fog", "start": 1, "end": 4, "scores": {"span": 0.75}}],
    "choices": [{"gold": 0, "prediction": 1, "scores": [0.25, 0.75]}],
    "minimal_pairs": [{"gold": "good", "prediction": "bad", "scores": {"good": -9.0, "bad": -4.0}, "correct": 0.0,
                       "phenomenon": "agreement"}],
    "retrieval": [{"gold": {"a": 1.0}, "prediction": ["b", "a"], "scores": [0.9, 0.5]},
                  {"gold": {"a": 1.0}, "prediction": ["a", "b"], "scores": [0.9, 0.5]},
                  {"gold": {"c": 2.0, "b": 0.0}, "prediction": ["b", "a"], "scores": [0.9, 0.5]}],
    "my_own": [{"gold": ["a", "b"], "prediction": ["a"]}],
}  # fmt: skip
ROWS["pair_classification"] = ROWS["text_classification"]
ROWS["contrastive_pairs"] = ROWS["retrieval"]


def part(task_type, inputs=None, rows=None, most=10, **about):
    numbered = [{"id": f"id-{number}"} | row for number, row in enumerate(rows or ROWS[task_type])]
    predictions = Predictions("x.jsonl", {**ABOUT, "task_type": task_type, **about}, numbered)
    return _SHOWN.get(task_type, _SHOWN_OTHER)(predictions, inputs or {}, most)


def _SHOWN_OTHER(*given):
    from bert_lightning.visualization.choice_errors import other_errors

    return other_errors(*given)


def read(found):
    return Reader(model_page("A model", None, [found]).html)


def names(html):
    return re.findall(r"id-\d+", html.words)


def test_every_task_type_has_a_page():
    from bert_lightning.tasks.registry import REGISTRY

    task_types = set(list(REGISTRY)[: list(REGISTRY).index("classification")])
    assert set(_SHOWN) == task_types == set(ROWS) - {"my_own"}


@pytest.mark.parametrize("task_type", ROWS)
def test_any_text_is_shown_as_it_is(task_type):
    for text in NASTY[:3]:
        parts = dict.fromkeys(("text", "question", "context", "good", "bad", "anchor", "positive", "query"), text)
        inputs = {f"id-{number}": {**parts, "words": [text] * 3, "choices": [text] * 2} for number in range(4)}
        html = read(part(task_type, inputs))
        assert len(set(html.ids)) == len(html.ids)
        assert html.tags.count("script") == 1
        assert not [name for _, name, _ in html.attributes if name.startswith("on") or name == "src"]
        assert not {"img", "iframe"} & set(html.tags)
        assert all(value[:1] == "#" or value == "data:," for _, name, value in html.attributes if name == "href")


def test_classes_are_counted_and_the_highest_loss_comes_first():
    html = read(part("text_classification", labels=["good", "bad"]))
    assert "2 of 3 examples are wrong: the accuracy is 33.3\u00a0%." in html.words
    assert names(html) == ["id-2", "id-0"]
    assert f"loss {-math.log(0.25):.2f}" in html.words
    counts = count_pairs(["good", "bad"], [("bad", "good"), ("bad", "bad"), ("good", "bad")])
    assert counts.tolist() == [[0, 1], [1, 1]]
    table = " ".join(" ".join(html.words.split("precision")[0].split()).split()[-14:])
    assert table == "good 0 1 1 0.0 % 0.00 bad 1 1 2 50.0 % 0.50"


def test_many_classes_become_a_table_that_keeps_the_sum():
    labels = [f"class {number}" for number in range(40)]
    counts = np.eye(40, dtype=np.int64) * 3
    counts[7, 31] = 5
    words = Reader(f"<div>{''.join(confusion_parts(labels, counts))}</div>").words
    assert "class 7" in words
    assert "class 31" in words
    assert f"{40 - MOST_CLASSES + 1} other classes" in words
    assert "125" in words


def test_entities_have_one_outcome_each():
    gold = entities(["B-PER", "I-PER", "O", "B-LOC", "O", "B-ORG", "I-ORG", "O", "O"])
    found = entities(["B-PER", "I-PER", "O", "B-ORG", "O", "O", "B-ORG", "O", "B-LOC"])
    kinds = [(error.kind, error.gold, error.found) for error in entity_errors(gold, found)]
    assert kinds == [("other type", "LOC", "ORG"), ("other boundaries", "ORG", "ORG"), ("invented", "", "LOC")]
    assert [error.kind for error in entity_errors(gold, [])] == ["missed"] * 3
    assert entity_errors(gold, gold) == []


def test_residuals_and_answers_are_sorted():
    assert names(read(part("text_pair_regression"))) == ["id-1", "id-0"]
    assert "the mean absolute error of 3 examples is 0.92" in read(part("text_pair_regression")).words.lower()
    fitted = read(part("text_pair_similarity"))  # cosines, exactly linear in the values
    assert "The mean absolute error of 3 examples is 0.00" in fitted.words
    answers = read(part("questions"))
    assert names(answers) == ["id-3", "id-2", "id-1"], "the certain one of equal F1 first; the exact one is no error"
    assert "25.0\u00a0% of 4 questions are answered exactly; 50.0\u00a0%" in answers.words


def test_the_lowest_ranks_come_first():
    html = read(part("retrieval"))
    assert names(html) == ["id-2", "id-0"]
    assert "The first document is relevant for 33.3\u00a0% of 3 queries." in html.words
    assert "first relevant at rank 2" in html.words
    assert "none relevant among the first 2" in html.words


def test_errors_beyond_the_limit_are_counted():
    html = read(part("text_classification", rows=[ROWS["text_classification"][0]] * 12, most=10))
    assert len(names(html)) == 10
    assert "2 further ones are left out." in html.words


@pytest.mark.parametrize("task_type", sorted(set(ROWS) - {"my_own"}))
@pytest.mark.parametrize("value", [None, 3, "x", [1], {"a": None}])
def test_a_row_of_another_kind_is_one_line(task_type, value):
    row = dict.fromkeys(("gold", "prediction", "scores", "correct", "phenomenon", "start"), value)
    with suppress(UserError):  # some values are fine for some tasks
        read(part(task_type, rows=[row]))
        return
    with pytest.raises(UserError, match=r"^x.jsonl: the row with id 'id-0' cannot be read \([^\n]+\): measure the run"):
        part(task_type, rows=[row])


def test_the_verb_shows_what_a_run_has_kept(command, tmp_path):
    folder = tmp_path / "runs/tuned/predictions"
    folder.mkdir(parents=True)
    rows = [{"id": str(number)} | row for number, row in enumerate(ROWS["text_classification"])]
    write_predictions(folder, "validation", rows, {**ABOUT, "task_type": "text_classification"})
    code, output, errors = command("visualize", "run=runs/tuned")
    assert (code, errors) == (0, "")
    assert output.startswith("visualize.html: 0.0 MB\nNext: open visualize.html")
    assert "Most often “bad” is taken for “good”" in (tmp_path / "visualize.html").read_text(encoding="utf-8")
    code, _, errors = command("visualize", "run=runs/tuned", "predictions=test")
    assert code == 2
    assert "runs/tuned/predictions/test.jsonl does not exist: give predictions=validation, give a text" in errors
    assert predictions_path("elsewhere", "x.jsonl").name == "x.jsonl"
    path = folder / "validation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rows_sha256": "0"}))
    with pytest.raises(UserError, match="is damaged"):
        prediction_sections(folder / "validation.jsonl", 10)
