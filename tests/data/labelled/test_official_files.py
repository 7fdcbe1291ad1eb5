"""The files that people download for each task, read by its yaml: real ones, else a few rows of their form."""

import json
from collections import Counter

import pytest
from hydra import compose, initialize_config_dir

from bert_lightning.cli import conf_folder
from bert_lightning.config.building import build
from bert_lightning.config.hydra_registry import register
from bert_lightning.data.labelled.squad import read_squad
from bert_lightning.tasks.data import read_examples, training_data
from bert_lightning.text.files.rows import read_rows


@pytest.fixture
def task():
    """The config of a task, for overrides."""
    register()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        yield lambda *overrides: compose("finetune", ["name=x", *overrides]).task


# Rows of training and validation, and how often each label of validation occurs: as the data's own README counts them.
REAL = {
    "cola": ("glue/CoLA", 8551, 1043, None),
    "sst2": ("glue/SST-2", 67349, 872, {"positive": 444, "negative": 428}),
    "mrpc": ("glue/MRPC", 3667, 408, {"equivalent": 279, "not_equivalent": 129}),
    "rte": ("glue/RTE", 2490, 277, {"entailment": 146, "not_entailment": 131}),
    "wnli": ("glue/WNLI", 635, 71, {"entailment": 31, "not_entailment": 40}),
    "stsb": ("glue/STS-B", 5749, 1500, None),
    "ag_news": ("classification_en/ag_news_subset", 5000, 1000, None),
    "conll2003": ("ner_en/conll2003", 14041, 3250, None),
    "chnsenticorp": ("zh/chnsenticorp", 9600, 1200, {"positive": 593, "negative": 607}),
    "resume_ner": ("zh/resume_ner", 3821, 463, None),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_have_the_rows_and_labels_that_are_known(name, task, test_data, capsys):
    folder, train, validation, labels = REAL[name]
    found = training_data(task(f"task={name}", f"task.path={test_data / folder}"), None)
    assert (len(found.train), len(found.validation)) == (train, validation)
    assert capsys.readouterr().err == ""  # nothing is odd about them
    if labels is not None:
        assert Counter(example.answer for example in found.validation) == labels


def test_qnli_and_squad_2_have_their_validation_questions(task, test_data, capsys):
    for name, path, count in (("qnli", "glue/QNLI", 5463), ("squad2", "qa/squad2.0_dev_half", 6078)):
        config = task(f"task={name}", f"task.path={test_data / path}")
        examples = read_examples(config, "validation", build(config.type), None)
        assert len(examples) == count
    assert sum(not example.answer for example in examples) == 3168
    assert capsys.readouterr().err == ""


def test_every_row_of_the_files_that_no_task_names_is_read(test_data):
    places = {"glue/MNLI_subset/train.json": 8999, "glue/MNLI_subset/dev.json": 1000, "glue/QQP_subset/dev.json": 1000,
              "glue/MRPC/msr_paraphrase_test.txt": 1725, "glue/CoLA/test.tsv": 1063,
              "classification_en/sst2_sentences/test.tsv": 1820}  # fmt: skip
    assert {place: len(list(read_rows(test_data / place))) for place in places} == places
    assert len(list(read_squad(test_data / "qa/squad1.1_subset/dev.json"))) == 4639


def tab(*rows):
    return "".join("\t".join(row) + "\n" for row in rows)


_MNLI = ("index", "promptID", "pairID", "genre", "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse",
         "sentence2_parse", "sentence1", "sentence2", "label1")  # fmt: skip
_QQP = ("id", "qid1", "qid2", "question1", "question2", "is_duplicate")
_SICK = ("pair_ID", "sentence_A", "sentence_B", "relatedness_score", "entailment_judgment")
_SWAG = ",video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3,label\n"
FORMS = {
    "mnli": {
        "train.tsv": tab((*_MNLI, "gold_label"), (*"012345", "x", "y", "A man.", "A person.", "neutral", "entailment")),
        "dev_matched.tsv": tab((*_MNLI, "gold_label"), (*"01234567", 'So "he" said.', "No.", "neutral", "neutral")),
        "dev_mismatched.tsv": tab((*_MNLI, "gold_label"), (*"01234567", "Yes.", "No.", "neutral", "contradiction")),
    },
    "qqp": {
        "train.tsv": tab(_QQP, ("1", "2", "3", "Who?", "Which?", "1"), ("broken",), ("4", "5", "6", "A?", "B?", "0")),
        "dev.tsv": tab(_QQP, ("1", "2", "3", "Why?", "What for?", "1")),
    },
    "sick": {
        name: tab(_SICK, ("1", "A dog runs", "A dog is running", "4.5", "ENTAILMENT"))
        for name in ("SICK_train.txt", "SICK_trial.txt", "SICK_test_annotated.txt")
    },
    "swag": {
        name: _SWAG + '0,v1,9,"He sits. He",He sits.,He,gold,"looks, up.",eats.,sings.,stands.,2\n'
        for name in ("train.csv", "val.csv")
    },
    "squad": {
        name: json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": "It is red.", "qas": [
            {"id": "q", "question": "What?", "answers": [{"text": "red", "answer_start": 6}]}]}]}]})
        for name in ("train-v1.1.json", "dev-v1.1.json")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_the_official_form_is_read(name, task, tmp_path):
    for file, text in FORMS[name].items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    config = task(f"task={name}", f"task.path={tmp_path}")
    found = training_data(config, None)
    first = found.validation[0]
    expected = {
        "mnli": ({"text": 'So "he" said.', "text_pair": "No."}, "neutral"),
        "qqp": ({"text": "Why?", "text_pair": "What for?"}, "duplicate"),
        "sick": ({"text": "A dog runs", "text_pair": "A dog is running"}, 4.5),
        "swag": ({"text": "He sits.", "choices": ["He looks, up.", "He eats.", "He sings.", "He stands."]}, 2),
        "squad": ({"question": "What?", "context": "It is red."}, [{"text": "red", "answer_start": 6}]),
    }[name]
    assert (first.inputs, first.answer) == expected
    if name == "mnli":
        (other,) = read_examples(config, "validation_mismatched", found.task_type, None)
        assert other.answer == "contradiction"
    if name == "qqp":
        assert [example.inputs["text"] for example in found.train] == ["Who?", "A?"]
