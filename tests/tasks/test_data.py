"""Tasks built from rows: rare labels, remarks about unusual rows, and invalid settings."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from bert_lightning.cli import conf_folder
from bert_lightning.config.hydra_registry import register
from bert_lightning.data.labelled.task_types import Example
from bert_lightning.errors import UserError
from bert_lightning.tasks.data import class_weights, joint_objective, training_data

TEXTS = [f"the film is good number {i}" for i in range(20)]


@pytest.fixture
def data(tmp_path):
    """The training data of a task over rows of a CSV file, beside other files of given content."""
    register()

    def made(rows, *overrides, examples=None, header="text,label", **files):
        lines = [header, *(f"{text},{label}" for text, label in rows)]
        (tmp_path / "a.csv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        for name, content in files.items():
            (tmp_path / f"{name}.csv").write_text(content, encoding="utf-8")
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            place = ["name=x", "task=text_classification", f"task.path={tmp_path}/a.csv"]
            return training_data(compose("finetune", [*place, *overrides]).task, examples)

    return made


def rare_in_validation(text):
    return [(t, "rare" if t == text else "ab"[i % 2]) for i, t in enumerate(TEXTS)]


@pytest.mark.parametrize("few", [None, 1])
def test_a_rare_label_that_is_in_validation_only_is_a_label(few, data, capsys):
    drawn = data(rare_in_validation(None), "task.validation_fraction=0.3").validation
    assert 1 < len(drawn) < 10
    capsys.readouterr()
    found = data(rare_in_validation(drawn[0].inputs["text"]), "task.validation_fraction=0.3", examples=few)
    assert found.labels == ["a", "b", "rare"]
    assert not any(example.answer == "rare" for example in found.train)
    note = "note: no training example has the label 'rare': the model cannot learn it\n"
    assert capsys.readouterr().err == note


def test_a_label_that_only_the_given_validation_file_has_is_a_mistake(data, tmp_path):
    dev = f"task.files.splits.validation={tmp_path}/dev.csv"
    with pytest.raises(UserError, match=r"dev.csv:2: label 'Pos' is not one of the labels \('neg', 'pos'\)"):
        data([("one", "pos"), ("two", "neg")], dev, dev="text,label\nthree,Pos\n")


def test_odd_rows_are_noted_once(data, tmp_path, capsys):
    odd = [(text, " pos" if i % 3 else "neg") for i, text in enumerate(TEXTS)]
    assert data(odd, f"task.files.splits.validation={tmp_path}/a.csv").labels == ["neg", "pos"]
    assert capsys.readouterr().err.replace(f"{tmp_path}/", "").splitlines() == [
        "note: 20 rows (the first: a.csv:2) of the validation data are training data too: what is measured is no "
        "estimate",
        "note: 26 rows (the first: a.csv:3): the label in column 'label', ' pos', is read without the space around it",
    ]


TWO = [("one", "a"), ("two", "b")]


def test_a_pattern_that_matches_several_files_is_noted(data, tmp_path, capsys):
    files = {name: f"text,label\n{name},a\nnot {name},b\n" for name in ("a1", "a2", "dev")}
    dev = f"task.files.splits.validation={tmp_path}/dev.csv"
    found = data([], f"task.path='{tmp_path}/a[12].csv'", dev, **files)
    assert [example.inputs["text"] for example in found.train] == ["a1", "not a1", "a2", "not a2"]
    assert capsys.readouterr().err == f"note: train is read from 2 files, {tmp_path}/a1.csv to {tmp_path}/a2.csv\n"


@pytest.mark.parametrize(
    ("rows", "overrides", "message"),
    [
        ([("one", "pos"), ("two", "pos")], [], r"a.csv:\d: all rows have the label 'pos': give rows with two labels"),
        ([("one", "pos"), ("two", "")], [], r"a.csv:3: the label in column 'label' is empty"),
        ([("one", "1"), ("two", "1.0")], [], r"a.csv:\d: labels '1' and '1.0' are one number"),
        (TWO, ["~task.type._target_"], "task.type builds no task type: choose a task"),
        (TWO, ["task=base_table"], "task.type builds no task type: choose a task"),
        (TWO, ["task.files.reader=null"], "task.files.reader=None reads nothing: its _target_"),
        (TWO, ["~task.files.reader._target_"], r"task.files.reader=\{.* reads nothing"),
        (TWO, ["~task.files._target_"], "task.files builds no source of rows, because it has no _target_"),
        (TWO, ["task.files.reader.header=5"], "task.files.reader.header=5 must be a list of"),
        (TWO, ["task.files.where=5"], "task.files.where=5 must be a mapping"),
        (TWO, ["task.files.where=null"], "task.files.where=None must be a mapping"),
        (TWO, ["task.files.splits=5"], "task.files.splits=5 must be a mapping"),
        (TWO, ["task.type.columns=5"], "task.type.columns=5 must be a mapping"),
        (TWO, ["task.type.names=null"], "task.type.names=None must be a mapping"),
        (TWO, ["task.files.reader.header=text"], "header=text must be a list of names"),
        (TWO, ["task.files.reader.header=[text,text]"], "header: two columns are named 'text'"),
    ],
)  # fmt: skip
def test_what_makes_no_task_is_named(rows, overrides, message, data):
    with pytest.raises(UserError, match=message):
        data(rows, *overrides)


@pytest.mark.parametrize("term", ["", "a.b", "keys", "1"])
def test_a_term_has_the_name_of_a_module(term):
    with pytest.raises(UserError, match=rf"task.term='{term}' must consist of letters"):
        joint_objective(None, term, [], None)


@pytest.mark.parametrize("weight", ["nan", "inf", "-1", "x"])
def test_weights_of_classes_are_finite(weight):
    weights = OmegaConf.create({"a": 1, "b": float(weight) if weight != "x" else weight})
    with pytest.raises(UserError, match=r"task.class_weights=.*: weights are finite numbers, 0 or more"):
        class_weights(weights, ["a", "b"], [])


def test_a_tag_that_no_word_has_needs_no_weight():
    labels = ["O", "B-A", "I-A"]
    examples = [Example("0", "f:1", {"words": ["x", "y", "z", "w"]}, ["O", "O", "O", "B-A"])]
    assert class_weights("balanced", labels, examples) == pytest.approx([4 / (2 * 3), 4 / 2, 1.0])
    assert class_weights({"O": 0.5, "B-A": 2}, labels, examples) == [0.5, 2.0, 1.0]
    with pytest.raises(UserError, match=r"a weight for each of \['O', 'B-A'\]"):
        class_weights({"O": 0.5}, labels, examples)
