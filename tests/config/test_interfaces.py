"""A class of the user's own that does not fit its place is refused in one line, before anything is built."""

import sys

import pytest

from bert_lightning.config.interfaces import _METHODS

MODULE = "parts_that_do_not_fit"
CODES = {
    "parts_that_do_not_fit": "class Wrong:\n    def __init__(self, *arguments, **values): ...\n",
    "parts_with_a_syntax_error": "def part(:\n",
    "parts_that_need_another": "import a_module_that_nobody_has\n",
    "parts_that_exit": "raise SystemExit(3)\n",
}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Modules of the user, which Python finds."""
    (tmp_path / "site").mkdir()
    for name, code in CODES.items():
        (tmp_path / "site" / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield
    for name in CODES:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "key",
    ["budget", "+callbacks.mine", "data.corpus", "metrics.mlm.accuracy", "objective.terms.mlm", "optimizer", "examples",
     "masking", "schedule", "tokenizer"],
)  # fmt: skip
def test_a_class_that_does_not_fit_a_place_of_pretraining_is_named(key, own, command, tiny_run):
    code, _, errors = command("pretrain", *tiny_run, f"{key}._target_={MODULE}.Wrong")
    place = key.lstrip("+")
    assert (code, errors.count("\n")) == (2, 1), errors
    assert f"{place}._target_={MODULE}.Wrong must " in errors
    assert ("a subclass of" in errors) is (place not in _METHODS)


@pytest.mark.parametrize("key", ["objective", "type", "metrics.accuracy"])
def test_a_class_that_does_not_fit_a_place_of_a_task_is_named(key, own, command):
    code, _, errors = command("finetune", "task=text_classification", "encoder=runs/first", "task.path=x.csv",
                              f"task.{key}._target_={MODULE}.Wrong")  # fmt: skip
    assert (code, errors.count("\n")) == (2, 1), errors
    assert f"task.{key}._target_={MODULE}.Wrong must be a subclass of bert_lightning." in errors


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("parts_with_a_syntax_error.part", "SyntaxError: invalid syntax (parts_with_a_syntax_error.py, line 1)"),
        ("parts_that_need_another.Part", "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"),
        ("parts_that_exit.Part", "SystemExit: 3"),
        (f"{MODULE}.Missing", f"'{MODULE}.Missing'"),
    ],
)
def test_why_a_part_cannot_be_imported_is_said(target, reason, own, command, tiny_run):
    code, _, errors = command("pretrain", *tiny_run, f"masking._target_={target}")
    assert (code, errors.count("\n")) == (2, 1), errors
    assert f"masking._target_={target} cannot be imported (" in errors
    assert reason in errors
