"""A user's own classes work in the user's config, and in a run's folder after the user trusts them."""

import json
import sys

import pytest

from bert_lightning.runs.trust import TRUST_ENV
from tests.runs.test_resume import cut

MODULE = "losses_of_a_user"
CODE = """
import torch
from bert_lightning.data.labelled.texts import TextClassification
from bert_lightning.objectives.downstream import Classification
from bert_lightning.objectives.pretraining import MaskedLM

class Words(MaskedLM): ...
class Sorted(TextClassification): ...
class Sorting(Classification): ...
class Lettered(TextClassification):
    def extra_inputs(self, units):
        return {"first_letters": torch.tensor([ord(unit.example.inputs["text"][0]) for unit in units])}
class Clashing(TextClassification):
    def extra_inputs(self, units):
        return {"labels": None}
class ByLetter(Classification):
    def scores(self, hidden, batch):
        letters = batch["first_letters"]
        return super().scores(hidden, batch) * 0 + torch.stack([letters, torch.full_like(letters, ord("i"))], 1)
class TwoScores(Classification):
    def __init__(self, config, weight=1.0):
        super().__init__(config, 2, None, weight)
def sorting(*arguments, **values): return Sorting(*arguments, **values)
"""
TASK = ("finetune", "task=text_classification", "task.path=texts.csv", "task.validation_fraction=0.5",
        "encoder=runs/first", "debug=smoke", "callbacks.progress=null", "batch_size=4")  # fmt: skip
OWN = (f"task.type._target_={MODULE}.Sorted", f"task.objective._target_={MODULE}.Sorting")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The user's module, which Python finds and nothing trusts; and texts of two classes."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / f"{MODULE}.py").write_text(CODE)
    rows = "the cat sleeps,good\na dog runs away,bad\nthe moon shines,good\nno river stops,bad\n"
    (tmp_path / "texts.csv").write_text(f"text,label\n{rows * 2}")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delenv(TRUST_ENV, raising=False)
    yield MODULE
    sys.modules.pop(MODULE, None)


def notes(errors):
    return [line for line in errors.splitlines() if "not a part of this program" in line]


def test_an_objective_of_the_users_own_in_pretraining(own, command, tiny_run, tmp_path, monkeypatch):
    mine = ("pretrain", *tiny_run, f"objective.terms.mlm._target_={own}.Words", "name=first",
            "callbacks.checkpoints.every_steps=2")  # fmt: skip
    code, _, errors = command(*mine)
    assert code == 0, errors
    assert notes(errors) == [
        f"note: {own}.Words: not a part of this program. resume, evaluate and predict build it from this run only with "
        f"BERT_LIGHTNING_TRUST={own}.Words in the environment"
    ]
    half = cut(tmp_path / "runs" / "first", 2)
    code, _, errors = command("resume", str(half))
    assert code == 2
    assert errors.count("\n") == 1, errors
    assert f"{half}/config.yaml: objective.terms.mlm._target_={own}.Words is not a part of this program" in errors
    assert not (half / "summary.json").exists()
    (half / "config.yaml").write_text((half / "config.yaml").read_text().replace("name: first", "name: first-2"))
    code, _, errors = command(*mine[:-2], mine[-1], "name=first-2", "existing=resume")  # the user names it again
    assert code == 0, errors
    (half / "summary.json").unlink()
    monkeypatch.setenv(TRUST_ENV, own)
    code, _, errors = command("resume", str(half))
    assert (code, notes(errors)) == (0, []), errors
    assert command("predict", f"run={half}", "the [MASK] sleeps")[0] == 0


def test_a_task_of_the_users_own_is_answered_once_it_is_trusted(own, command, first_run, tmp_path, monkeypatch):
    code, _, errors = command(*TASK, *OWN, "name=tuned")
    assert code == 0, errors
    assert [f"{TRUST_ENV}={own}.Sorted,{own}.Sorting" in note for note in notes(errors)] == [True]
    for verb in (("predict", "run=runs/tuned", "the cat"), ("evaluate", "run=runs/tuned", "split=train")):
        monkeypatch.delenv(TRUST_ENV, raising=False)
        code, _, errors = command(*verb)
        assert code == 2
        assert errors.count("\n") == 1, errors
        assert f"task.type._target_={own}.Sorted is not a part of this program. If you trust its code, set" in errors
        monkeypatch.setenv(TRUST_ENV, f"{own}.Sorted,{own}.Sorting")
        code, output, errors = command(*verb)
        assert code == 0, errors
    assert json.loads(output)["examples"] == 8


def test_a_checkpoint_that_could_not_be_used_is_not_trained(own, command, first_run, tmp_path):
    code, _, errors = command(*TASK, f"task.objective._target_={own}.sorting", "name=tuned")
    assert code == 2
    assert errors.splitlines()[-1] == (
        f"bert-lightning: error: task.objective._target_={own}.sorting is not a class derived from "
        "bert_lightning.objectives.downstream.TaskObjective"
    )
    assert not (tmp_path / "runs" / "tuned").exists()


def test_a_task_type_of_the_users_own_is_evaluated_on_other_data_and_on_other_runs(
    own, command, first_run, tmp_path, monkeypatch
):
    (tmp_path / "others.csv").write_text("text,label\nthe dog sleeps,bad\nher garden grows,good\n")
    for name, overrides in (("mine", OWN[:1]), ("ours", ())):
        code, _, errors = command(*TASK, *overrides, f"name={name}")
        assert code == 0, errors
    named = ("task=text_classification", "task.path=texts.csv", "task.validation_fraction=0.5")
    asked = {
        ("run=runs/mine", "split=train"): 8,
        ("run=runs/mine", "split=validation"): 2,
        ("run=runs/mine", "path=others.csv"): 2,
        ("run=runs/mine", *named, *OWN[:1], "path=others.csv"): 2,
        ("run=runs/mine", *named, "split=validation"): 2,  # as a task of ours, from which it is derived
        ("run=runs/ours", *named, *OWN[:1], "split=validation"): 2,
    }
    monkeypatch.setenv(TRUST_ENV, own)
    for arguments, count in asked.items():
        code, output, errors = command("evaluate", *arguments)
        assert code == 0, errors
        assert json.loads(output)["examples"] == count, arguments
    code, _, errors = command("evaluate", "run=runs/mine", "task=text_pair", "task.path=texts.csv")
    assert (code, errors.count("\n")) == (2, 1), errors
    assert "has no head for PairClassification: it was trained for Sorted" in errors


def test_a_key_that_a_task_type_adds_to_the_batch_is_read_by_its_objective(
    own, command, first_run, tmp_path, monkeypatch
):
    code, _, errors = command(
        *TASK, f"task.type._target_={own}.Lettered", f"task.objective._target_={own}.ByLetter", "name=tuned"
    )
    assert code == 0, errors
    monkeypatch.setenv(TRUST_ENV, own)
    code, _, errors = command("predict", "run=runs/tuned", "output=out.jsonl", "--", "a cat", "no cat")
    assert code == 0, errors
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["answer"] for line in lines] == ["good", "bad"]
    code, _, errors = command(*TASK, f"task.type._target_={own}.Clashing", "name=clashing")
    assert (code, errors.splitlines()[-1]) == (
        2, "bert-lightning: error: Clashing.extra_inputs returns labels, a key of every batch: rename it"
    )  # fmt: skip


def test_an_objective_that_knows_its_number_of_scores_need_not_take_it(own, command, first_run, monkeypatch):
    mine = (*TASK, f"task.objective._target_={own}.TwoScores")
    code, _, errors = command(*mine, "name=tuned")
    assert code == 0, errors
    monkeypatch.setenv(TRUST_ENV, own)
    code, _, errors = command("predict", "run=runs/tuned", "the cat")
    assert code == 0, errors
    code, _, errors = command(*mine, "task.class_weights=balanced", "name=weighted")
    assert (code, errors.splitlines()[-1]) == (
        2, "bert-lightning: error: task.class_weights: task.objective=TwoScores takes no class_weights: leave them out"
    )  # fmt: skip
    code, _, errors = command(
        *TASK, "task.objective._target_=bert_lightning.objectives.downstream.Regression", "name=other"
    )
    assert (code, errors.splitlines()[-1]) == (
        2,
        "bert-lightning: error: task.objective=Regression predicts no classes, but the task has classes: "
        "use another one",
    )
