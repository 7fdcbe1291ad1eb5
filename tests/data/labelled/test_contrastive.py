"""Pairs and collections for text embeddings: what is read, and what is refused in one line."""

import json

import pytest

from bert_lightning.data.labelled.contrastive import ContrastivePairs
from bert_lightning.data.labelled.retrieval import BeirFolder, Collection, Retrieval
from bert_lightning.errors import UserError
from bert_lightning.text.files.rows import Row

COLUMNS = {"anchor": "q", "positive": "a", "negative": "n"}


def rows(*values):
    return [Row(f"x.jsonl:{number}", each) for number, each in enumerate(values, 1)]


def test_a_row_has_any_number_of_negatives(small_data):
    task_type = ContrastivePairs(COLUMNS)
    given = rows(
        {"q": "the cat", "a": "a dog", "n": ["this film", "the moon"]},
        {"q": "this film", "a": "no river", "n": ""},
        {"q": "this film", "a": "every clock", "n": "her garden"},
    )
    examples = task_type.examples(given)
    assert [example.inputs["negative"] for example in examples] == [["this film", "the moon"], [], ["her garden"]]
    units = task_type.encode(examples, small_data.tokenizer, 16)
    assert [len(unit.sequences) for unit in units] == [4, 2, 3]
    ids = task_type.extra_inputs(units)["text_ids"].tolist()
    assert len(set(ids)) == 7  # a text occurs three times
    assert ids[2] == ids[4] == ids[6]


def test_a_text_alone_is_its_own_positive():
    task_type = ContrastivePairs({"anchor": "q", "positive": "a"}, unsupervised=True)
    (example,) = task_type.examples(rows({"q": "the cat"}))
    assert example.inputs == {"anchor": "the cat", "positive": "the cat", "negative": []}
    (asked,) = task_type.examples(rows({"q": "the cat", "a": "a dog"}), answered=False)
    assert asked.inputs["positive"] == "a dog"


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"q": "x"}, "x.jsonl:1: there is no column 'a', only 'q': name the right one by task.columns"),
        ({"q": " ", "a": "x", "n": ""}, "x.jsonl:1: column 'q' has an empty text: give a text, or leave the row out"),
        ({"q": "y", "a": "x", "n": [""]}, "x.jsonl:1: column 'n' has an empty text: give a text, or leave the row out"),
        ({"q": "y", "a": "x"}, "x.jsonl:1: there is no column 'n': change task.columns.negative"),
    ],
)
def test_what_a_pair_lacks_is_said_in_one_line(row, line):
    with pytest.raises(UserError) as error:
        ContrastivePairs(COLUMNS).examples(rows(row))
    assert str(error.value) == line


def test_positives_of_one_anchor_are_all_relevant():
    pairs = rows(*({"anchor": a, "positive": p} for a, p in ("ax", "ay", "bx")))
    found = Collection.of_pairs(ContrastivePairs().examples(pairs))
    assert list(found.documents.values()) == ["x", "y"]
    assert [[found.documents[name] for name in each] for each in found.relevance] == [["x", "y"], ["x", "y"], ["x"]]


@pytest.fixture
def folder(tmp_path):
    corpus = [{"_id": "d1", "title": "Cats", "text": "They sleep."}, {"_id": "d2", "title": "", "text": "A dog."}]
    queries = [{"_id": "7", "text": "who sleeps?"}, {"_id": "8", "text": "who barks?"}]
    for name, values in (("corpus", corpus), ("queries", queries)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(value) + "\n" for value in values))
    (tmp_path / "qrels").mkdir()
    judged = ["query-id\tcorpus-id\tscore", "7\td1\t2", "7\td2\t0", "8\td1\t0"]
    (tmp_path / "qrels" / "test.tsv").write_text("\n".join(judged) + "\n")
    return tmp_path


def test_a_folder_of_beir_has_queries_grades_and_documents(folder):
    source = BeirFolder(str(folder), {"test": "qrels/test.tsv"})
    (example,) = Retrieval().examples(source.read("test"))  # query 8 has no relevant document
    assert (example.id, example.inputs, example.answer) == ("7", {"query": "who sleeps?"}, {"d1": 2.0, "d2": 0.0})
    assert source.documents() == {"d1": "Cats They sleep.", "d2": "A dog."}


@pytest.mark.parametrize(
    ("judged", "line"),
    [
        ("9\td1\t1", "queries.jsonl has no query '9', which test judges: add it"),
        ("7\td1\thigh", "qrels/test.tsv:2: the score 'high' must be a number: fix it"),
        ("7\td9\t1", "jsonl:1: document 'd9' is relevant to this query, but is not in corpus.jsonl: add it"),
        ("7\td1\t0", "no query of test has a relevant document: give judgements above 0"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(judged, line, folder):
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}\n")
    source = BeirFolder(str(folder), {"test": "qrels/test.tsv"})
    with pytest.raises(UserError, match=line.replace("(", "\\(")):
        Collection.of_queries(Retrieval().examples(source.read("test")), source.documents())
