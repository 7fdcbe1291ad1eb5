"""Runs from before names and rooms changed load with today's code, and answer as they did. See tests/old_runs."""

import json
import shutil
from pathlib import Path

import pytest

from tests.runs.compare import CLOCK

PLACE = Path(__file__).resolve().parent.parent / "old_runs"
ANSWERS = json.loads((PLACE / "answers.json").read_text(encoding="utf-8"))


@pytest.fixture
def old(tmp_path):
    """The folder of the test with the old runs and their data in it."""
    for folder in ("runs", "data"):
        shutil.copytree(
            PLACE / folder, tmp_path / (folder if folder == "runs" else "."), symlinks=True, dirs_exist_ok=True
        )
    return tmp_path


def close(value):
    """What equals a nested value, with numbers to 5 digits: machines round differently."""
    if isinstance(value, dict):
        return {key: close(each) for key, each in value.items()}
    if isinstance(value, list):
        return [close(each) for each in value]
    return pytest.approx(value, rel=1e-5, abs=1e-6, nan_ok=True) if isinstance(value, float) else value


def with_old(verb):
    return [name for name, answers in ANSWERS.items() if verb in answers]


def test_every_run_is_tried():
    assert {path.name for path in (PLACE / "runs").iterdir()} == set(ANSWERS)
    assert (len(with_old("predict")), len(with_old("evaluate")), len(with_old("resume"))) == (9, 7, 3)


@pytest.mark.parametrize("name", with_old("predict"))
def test_an_old_run_predicts_as_it_did(name, old, command):
    code, _, errors = command("predict", f"run=runs/{name}", "output=out.jsonl", "--", *ANSWERS[name]["texts"])
    assert code == 0, errors
    lines = (old / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == close(ANSWERS[name]["predict"])


@pytest.mark.parametrize("name", with_old("evaluate"))
def test_an_old_run_is_evaluated_as_it_was(name, old, command):
    code, output, errors = command("evaluate", f"run=runs/{name}")
    assert code == 0, errors
    assert json.loads(output)["metrics"] == close(ANSWERS[name]["evaluate"])


@pytest.mark.parametrize("name", with_old("resume"))
def test_an_old_run_goes_on_to_the_same_end(name, old, command):
    code, _, errors = command("resume", f"runs/{name}")
    assert code == 0, errors
    found = json.loads((old / "runs" / name / "summary.json").read_text())["metrics"]
    expected = {key: value for key, value in ANSWERS[name]["resume"].items() if not key.endswith(CLOCK)}
    renamed = {key.replace("/replaced/", "/rtd/"): value for key, value in expected.items()}
    assert {key: value for key, value in found.items() if key in renamed} == close(renamed)
