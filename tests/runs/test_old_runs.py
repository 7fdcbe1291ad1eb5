"""Runs of older versions load with today's code and give the same predictions. See tests/old_runs."""

import json
import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from bert_lightning.model.unpadding import padded_rows
from bert_lightning.renames import renamed
from tests.runs.compare import CLOCK

PLACE = Path(__file__).resolve().parent.parent / "old_runs"
TERMS = {"/replaced/": "/rtd/", "/hidden_direction/": "/hidden_cosine/"}  # written out: not by the table that is tested
ANSWERS = json.loads((PLACE / "answers.json").read_text(encoding="utf-8"))


@pytest.fixture
def old(tmp_path):
    """The folder of the test with the old runs and their data in it."""
    for folder in ("runs", "data"):
        shutil.copytree(
            PLACE / folder, tmp_path / (folder if folder == "runs" else "."), symlinks=True, dirs_exist_ok=True
        )
    return tmp_path


@pytest.fixture
def old_widths(monkeypatch):
    """Rows of attention as wide as they were at that time. The random numbers of dropout follow their shape."""
    today = padded_rows.PaddedRows.from_sizes

    def from_sizes(sizes, host_sizes):
        monkeypatch.setattr(padded_rows, "_WIDTH_STEP", 1 if len(set(host_sizes)) == 1 else 8)
        return today(sizes, host_sizes)

    monkeypatch.setattr(padded_rows.PaddedRows, "from_sizes", staticmethod(from_sizes))


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
    assert (len(with_old("predict")), len(with_old("evaluate")), len(with_old("resume"))) == (11, 7, 5)


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


LOGGED_SINCE = {"train/tokens", "train/flops", "train/seconds"}


def check_resumed(name, old):
    """The run has the metrics of the old code under today's names, and those that are logged since."""
    found = json.loads((old / "runs" / name / "summary.json").read_text())["metrics"]
    expected = dict(ANSWERS[name]["resume"])
    for key in list(expected):
        for former, today in TERMS.items():
            if former in key:
                expected[key.replace(former, today)] = expected.pop(key)
    assert found.keys() == expected.keys() | LOGGED_SINCE
    found = {key: value for key, value in found.items() if key not in LOGGED_SINCE}
    for metrics in (found, expected):
        for key in [key for key in metrics if key.endswith(CLOCK)]:
            del metrics[key]
    assert found == close(expected)


@pytest.mark.parametrize("name", with_old("resume"))
def test_an_old_run_goes_on_to_the_same_end(name, old, old_widths, command):
    code, output, errors = command("resume", f"runs/{name}")
    assert code == 0, errors
    assert f"runs/{name}: resumes at step 2 of 4" in output
    check_resumed(name, old)


@pytest.mark.slow
@pytest.mark.parametrize("name", with_old("resume"))
def test_the_command_of_an_old_run_goes_on_with_existing_resume(name, old, old_widths, command):
    """What was typed then, in today's names. Defaults that changed meanwhile would make it another run."""
    config = OmegaConf.load(old / "runs" / name / "config.yaml")
    typed = [(renamed(given) or given).rpartition(" is now ")[2] for given in config.origin.overrides]
    code, output, errors = command(config.verb, *typed, "existing=resume")
    assert code == 0, errors
    assert f"runs/{name}: resumes at step 2 of 4" in output
    check_resumed(name, old)
