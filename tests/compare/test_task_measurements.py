"""Predictions that a run kept, read as measurements: each value is that of our metric."""

import json
import math
from collections import Counter

import numpy as np
import pytest

from bert_lightning.compare.task_measurements import task_measurements
from bert_lightning.data.labelled.choices import Choices
from bert_lightning.data.labelled.questions import Questions
from bert_lightning.data.labelled.task_types import Example
from bert_lightning.data.labelled.texts import PairClassification, TextClassification, TextPairRegression
from bert_lightning.data.labelled.words import TaggedWords, WordClassification
from bert_lightning.errors import UserError
from bert_lightning.metrics import (
    F1,
    Accuracy,
    Correlations,
    EntityF1,
    MacroF1,
    Matthews,
    Squad,
    TaskMetrics,
    WordAccuracy,
)
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.tasks.task_predictions import about_task, keep_predictions

LABELS = ["no", "yes", "maybe"]
TAGS = ["O", "B-X", "I-X", "B-Y"]
TEXTS = ["the cat", "cat", "a dog", "dog bites cat"]
SIZE = 30


def examples_of(answers, inputs=lambda i: {"text": f"text {i}"}):
    return [Example(str(i), f"row {i}", inputs(i), answer, numbered=True) for i, answer in enumerate(answers)]


def class_cases(rng):
    for _ in range(SIZE):
        probabilities = rng.dirichlet([1, 1, 1])
        best = LABELS[int(probabilities.argmax())]
        gold = best if rng.random() < 0.6 else str(rng.choice(LABELS))
        yield gold, {"answer": best, "probabilities": dict(zip(LABELS, probabilities.tolist(), strict=True))}


def tag_cases(rng):
    for _ in range(SIZE):
        gold = [str(tag) for tag in rng.choice(TAGS, 4)]
        found = [tag if rng.random() < 0.7 else "O" for tag in gold]
        yield gold, {"answer": found, "entities": [{"score": 0.5}]}


def word_cases(rng):
    for _ in range(SIZE):
        gold = [str(tag) for tag in rng.choice(LABELS, rng.integers(1, 9))]
        yield (
            gold,
            {"answer": [tag if rng.random() < 0.7 else None for tag in gold], "probabilities": [0.5] * len(gold)},
        )


def question_cases(rng, unanswerable):
    for i in range(SIZE):
        gold = [{"text": str(text)} for text in rng.choice(TEXTS, 2)] if not unanswerable or i % 3 else []
        best = str(rng.choice(TEXTS))
        answer = best if not unanswerable or rng.random() < 0.6 else ""
        yield gold, {"answer": answer, "best_answer": best, "start": 0, "end": len(answer), "score": 0.5,
                     "null_odds": float(rng.normal())}  # fmt: skip


def choice_cases(rng):
    for _ in range(SIZE):
        probabilities = rng.dirichlet([1, 1, 1, 1]).tolist()
        yield int(rng.integers(4)), {"answer": int(np.argmax(probabilities)), "probabilities": probabilities}


def number_cases(rng):
    for gold in rng.integers(0, 5, SIZE):
        yield float(gold), {"answer": float(np.float32(gold + rng.normal()))}


CLASSES = [Accuracy(LABELS), F1(LABELS, "yes"), MacroF1(LABELS), Matthews(LABELS)]
KINDS = {
    "classes": (TextClassification(), CLASSES, class_cases),
    "pairs": (PairClassification(), CLASSES, class_cases),
    "tags": (TaggedWords(), [EntityF1()], tag_cases),
    "words": (WordClassification(), [WordAccuracy()], word_cases),
    "questions": (Questions(), [Squad()], lambda rng: question_cases(rng, False)),
    "unanswerable": (Questions(unanswerable=True), [Squad(unanswerable=True)], lambda rng: question_cases(rng, True)),
    "choices": (Choices(), [Accuracy()], choice_cases),
    "numbers": (TextPairRegression(), [Correlations()], number_cases),
}


def kept(folder, kind, more=None):
    """Keep predictions of a kind in a run's folder, and return the official values."""
    task_type, metrics, cases = KINDS[kind]
    answers, predictions = zip(*cases(np.random.default_rng(3)), strict=True)
    examples = examples_of(answers, lambda i: {"question": f"question {i}", "context": f"paragraph {i // 4}"})
    together = TaskMetrics("term", {str(i): metric for i, metric in enumerate(metrics)})
    together.update(None, predictions, examples)
    values = {name.removeprefix("term/"): v.item() for name, v in together.compute_and_reset().items()} | (more or {})
    about = about_task("own", "validation", task_type, LABELS, metrics)
    about |= {"checkpoint": "step-1.ckpt", "metrics": values}
    rows = [task_type.prediction_row(*pair) for pair in zip(examples, predictions, strict=True)]
    assert keep_predictions(RunFolder(folder), "validation", examples, rows, about) is not None
    return values


def read(folder):
    return {m.measure: m for m in task_measurements(folder, "bert", 1, 2)}


WHOLE_ONLY = ("own/best_exact", "own/best_f1", "own/best_f1_threshold")  # chosen by all examples together


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_is_that_of_the_metric(kind, tmp_path):
    official = kept(tmp_path, kind)
    found = read(tmp_path)
    assert found.keys() == {f"own/{name}" for name in official}
    for name, value in official.items():
        measurement = found[f"own/{name}"]
        assert (measurement.arm, measurement.seed, measurement.finetuning_seed) == ("bert", 1, 2)
        assert measurement.value == pytest.approx(value, abs=1e-6)
        if measurement.measure in WHOLE_ONLY:
            assert measurement.examples is measurement.values is measurement.clusters is None
            continue
        assert measurement.values.mean() == pytest.approx(value, abs=1e-6)
        assert len(set(measurement.examples)) == len(measurement.examples) == len(measurement.values)
        assert (len(measurement.examples) == SIZE) == ("answer_" not in name)


def test_questions_come_in_paragraphs(tmp_path):
    kept(tmp_path, "unanswerable")
    found = read(tmp_path)
    assert sorted(Counter(found["own/f1"].clusters).values()) == [2, 4, 4, 4, 4, 4, 4, 4]
    with_answer, without = found["own/has_answer_exact"], found["own/no_answer_exact"]
    assert len(with_answer.clusters) == len(with_answer.examples) == 20
    assert set(with_answer.examples) | set(without.examples) == set(found["own/exact"].examples)


def test_the_loss_of_a_classification_is_that_of_its_probabilities(tmp_path):
    rows = [p["probabilities"][gold] for gold, p in class_cases(np.random.default_rng(3))]
    loss = float(-np.log(rows).mean())
    kept(tmp_path, "classes", {"loss": loss})
    measurement = read(tmp_path)["own/loss"]
    assert measurement.value == pytest.approx(loss, abs=1e-6)
    assert measurement.values == pytest.approx(-np.log(rows), abs=1e-6)


def test_the_loss_of_a_regression_is_the_squared_error(tmp_path):
    errors = [(p["answer"] - gold) ** 2 for gold, p in number_cases(np.random.default_rng(3))]
    kept(tmp_path, "numbers", {"loss": float(np.mean(errors))})
    assert read(tmp_path)["own/loss"].values == pytest.approx(errors, rel=1e-6)


def test_values_that_cannot_be_computed_from_the_rows_are_whole(tmp_path):
    """A loss with class weights, a metric of the user's own, and a metric that is not a number."""
    kept(tmp_path, "classes", {"loss": 0.123, "top_two": 0.75, "matthews": math.nan})
    found = read(tmp_path)
    assert found["own/loss"].value == 0.123
    assert found["own/top_two"].value == 0.75
    assert math.isnan(found["own/matthews"].value)
    assert all(found[f"own/{name}"].values is None for name in ("loss", "top_two", "matthews"))
    assert found["own/accuracy"].values is not None


def test_many_classes_take_no_time(tmp_path):
    official = kept(tmp_path, "classes")
    changed(tmp_path, lambda rows, about: about["labels"].extend(map(str, range(10**5))))
    found = read(tmp_path)
    assert found["own/accuracy"].values is not None
    assert found["own/macro_f1"].values is None
    assert found["own/macro_f1"].value == pytest.approx(official["macro_f1"], abs=1e-6)


def test_a_task_may_have_another_name(tmp_path):
    kept(tmp_path, "choices")
    (measurement,) = task_measurements(tmp_path, "bert", 1, None, task="swag")
    assert measurement.measure == "swag/accuracy"


def changed(folder, change):
    """Change the rows of a file and its hash, as a stranger may."""
    from bert_lightning.runs.predictions_file import read_predictions, write_predictions

    path = RunFolder(folder).predictions / "validation.jsonl"
    predictions = read_predictions(path)
    change(predictions.rows, predictions.about)
    write_predictions(path.parent, "validation", predictions.rows, predictions.about)


DAMAGES = {
    "no gold": ("classes", lambda rows, about: rows[3].pop("gold")),
    "an unknown class": ("classes", lambda rows, about: rows[3].update(prediction="perhaps")),
    "no labels": ("classes", lambda rows, about: about.pop("labels")),
    "tags that are a number": ("tags", lambda rows, about: rows[3].update(gold=4)),
    "a word for a number": ("numbers", lambda rows, about: rows[3].update(gold="four")),
    "a metric that is a text": ("numbers", lambda rows, about: about["metrics"].update(pearson="high")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_rows_of_another_form_get_one_line(damage, tmp_path):
    kind, change = DAMAGES[damage]
    kept(tmp_path, kind)
    changed(tmp_path, change)
    with pytest.raises(UserError, match=r"validation\.jsonl is damaged \(.*\): measure the run again") as error:
        read(tmp_path)
    assert "\n" not in str(error.value)


def test_a_run_without_predictions_gets_one_line(tmp_path):
    with pytest.raises(UserError, match=r"validation\.jsonl does not exist.*evaluate run=.*/checkpoints/last\.ckpt$"):
        read(tmp_path)


def test_files_of_other_examples_have_another_fingerprint(tmp_path):
    for kind in ("classes", "pairs", "numbers"):
        (tmp_path / kind).mkdir()
        kept(tmp_path / kind, kind)
    about = [json.loads((tmp_path / kind / "predictions/validation.json").read_text()) for kind in ("classes", "pairs")]
    assert about[0]["fingerprint"] == about[1]["fingerprint"]  # the same texts and answers
    other = json.loads((tmp_path / "numbers/predictions/validation.json").read_text())
    assert other["fingerprint"] != about[0]["fingerprint"]
    first, second = (set(read(tmp_path / kind)["own/accuracy"].examples) for kind in ("classes", "pairs"))
    assert first == second
