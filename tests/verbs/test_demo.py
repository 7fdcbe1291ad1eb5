"""`bert-lightning demo`: its checks and its screens, without training. tests/test_package.py runs it as it is."""

import pytest

from bert_lightning.verbs import demo


@pytest.fixture
def without_workers(monkeypatch):
    """Let no process work on the study."""
    monkeypatch.setattr(demo, "run_workers", lambda *_: [0, 0])


def test_a_sentence_without_a_mask_is_refused(command):
    code, _, errors = command("demo", "sentences=[A film.]")
    assert (code, errors.count("\n")) == (2, 1)
    assert "sentences: 'A film.' has no [MASK] to fill in: add one" in errors


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("study.budget.minutes=-1", "budget.minutes is -1: give a number above 0"),
        ("study.baseline=brt", "baseline"),
        ("study.common=[model=tny]", "model=tny"),
    ],
)
def test_a_mistake_in_the_study_is_found_before_anything_runs(override, message, command, tmp_path):
    code, output, errors = command("demo", "name=demo", override)
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert message in errors
    assert not (tmp_path / "runs").exists()


def test_the_first_screen_names_the_arms_and_missing_runs_are_named(command, without_workers, tmp_path):
    code, output, errors = command("demo", "name=demo", "study.budget.minutes=3")
    assert code == 1
    assert output.startswith("What do 3 minutes of pretraining buy?\n")
    assert "  modern          variant=modernbert" in output
    assert "runs are missing, the first is bert/seed-0/pretrain: waiting" in errors
    assert "To try again: bert-lightning study run runs/demo" in errors
    assert "${" not in (tmp_path / "runs/demo/study.yaml").read_text()  # the precision is that of this machine
    code, _, errors = command("demo", "name=demo")
    assert code == 2
    assert "runs/demo has a study: give another name" in errors
