"""SQuAD's JSON, as its files are and as other people's are."""

import json

import pytest

from bert_lightning.data.labelled.questions import Questions
from bert_lightning.data.labelled.squad import read_squad
from bert_lightning.errors import UserError

ANSWER = {"text": "red", "answer_start": 6}


def written(path, *questions, context="It is red."):
    content = {
        "version": "v2.0",
        "data": [{"title": "t", "paragraphs": [{"context": context, "qas": list(questions)}]}],
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def asked(identifier, **values):
    return {"id": identifier, "question": "What?", **values}


def test_is_impossible_decides_and_plausible_answers_are_none(tmp_path):
    path = written(
        tmp_path / "a.json",
        asked("a", answers=[ANSWER], is_impossible=False),
        asked("b", answers=[ANSWER], is_impossible=True, plausible_answers=[ANSWER]),
        asked("c", answers=[], is_impossible=True, plausible_answers=[ANSWER]),
        asked("d", is_impossible=True, plausible_answers=[ANSWER]),
    )
    rows = list(read_squad(path))
    examples = Questions(unanswerable=True).examples(rows)
    assert {example.id: example.answer for example in examples} == {"a": [ANSWER], "b": [], "c": [], "d": []}
    assert list(Questions(unanswerable=True).remarks(rows)) == [
        f"1 row (the first: {path}, question b): is_impossible is true beside answers, which are left out"
    ]


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (asked("a", answers=[ANSWER]), r"qas\[1\]: a question before it has the id 'a' too: change one"),
        ({"id": "b", "answers": []}, r"data\[0\].paragraphs\[0\].qas\[1\] is not in SQuAD's form .*'question'"),
        (asked("b", answers=[{"text": "red"}]), r"qas\[1\] is not in SQuAD's form .*'answer_start'"),
        (asked("b", answers=["red"]), r"qas\[1\] is not in SQuAD's form"),
        (["b"], r"qas\[1\] is not in SQuAD's form"),
    ],
)
def test_a_question_in_another_form_is_named_by_its_place(question, message, tmp_path):
    with pytest.raises(UserError, match=message):
        list(read_squad(written(tmp_path / "a.json", asked("a", answers=[ANSWER]), question)))


@pytest.mark.parametrize("content", [[], {}, {"data": 5}, {"data": [{"paragraphs": None}]}, {"data": "ab"}, None])
def test_another_json_is_no_squad(content, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=r"a.json.* is not in SQuAD's form"):
        list(read_squad(tmp_path / "a.json"))
