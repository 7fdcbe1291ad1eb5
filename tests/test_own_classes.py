"""Classes of the user's own: free in the user's config, and from a folder once they are trusted."""

import json
import sys

import pytest

from bert_lightning.runs.trust import TRUST_ENV
from tests.runs.test_resume import cut

MODULE = "losses_of_a_user"
CODE = """
from bert_lightning.data.labelled.texts import TextClassification
from bert_lightning.objectives.downstream import Classification
from bert_lightning.objectives.pretraining import MaskedLM

class Words(MaskedLM): ...
class Sorted(TextClassification): ...
class Sorting(Classification): ...
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


def test_a_task_of_the_users_own_is_answered_once_it_is_trusted(own, command, tiny_run, tmp_path, monkeypatch):
    assert command("pretrain", *tiny_run, "name=first")[0] == 0
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


def test_a_checkpoint_that_could_not_be_used_is_not_trained(own, command, tiny_run, tmp_path):
    assert command("pretrain", *tiny_run, "name=first")[0] == 0
    code, _, errors = command(*TASK, f"task.objective._target_={own}.sorting", "name=tuned")
    assert code == 2
    assert errors.splitlines()[-1] == (
        f"bert-lightning: error: task.objective._target_={own}.sorting is no class derived from "
        "bert_lightning.objectives.downstream.TaskObjective"
    )
    assert not (tmp_path / "runs" / "tuned").exists()
