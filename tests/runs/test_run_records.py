"""Reading many run folders: states, old names, damage."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from bert_lightning.errors import UserError
from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.run_records import ENDED, FAILED, INTERRUPTED, RUNNING, find_runs, read_run, read_runs
from bert_lightning.runs.session import Session
from bert_lightning.runtime.signals import Interrupted

OLD = Path(__file__).parents[1] / "old_runs" / "runs"
CONFIG = (
    "verb: pretrain\nseed: 1\nmodel:\n  hidden_size: 8\nstart: null\norigin:\n  choices:\n    objective: replaced\n"
)
SUMMARY = {
    "verb": "pretrain", "steps": 4, "wall_seconds": 1.5, "metrics": {"val/replaced/loss": 2.0},
    "budget": {"unit": "steps", "total": 4.0, "spent": 4.0, "share": 1.0},
    "best": {"metric": "val/replaced/loss", "value": 1.9},
}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """A run's folder as an interrupted run leaves it."""
    folder = RunFolder(tmp_path / "runs" / "one")
    folder.checkpoints.mkdir(parents=True)
    folder.config.write_text(CONFIG)
    return folder


def test_an_ended_run_has_todays_names(run):
    run.summary.write_text(json.dumps(SUMMARY))
    found = read_run(run.path)
    assert (found.state, found.verb, found.note) == (ENDED, "pretrain", "")
    assert found.settings() == {"verb": "pretrain", "seed": 1, "model.hidden_size": 8, "init_from": None}
    assert found.choices() == {"objective": "rtd"}
    assert found.summary["metrics"] == {"val/rtd/loss": 2.0}
    assert found.summary["best"] == {"metric": "val/rtd/loss", "value": 1.9}
    assert found.size == len(CONFIG) + len(json.dumps(SUMMARY))
    assert found.modified == run.summary.stat().st_mtime


def test_a_run_is_running_while_its_lock_is_held(run):
    with run.held():
        assert read_run(run.path).state == RUNNING
        assert run.is_held()
        assert not run.is_held_by_another()
        program = f"from pathlib import Path; from bert_lightning.runs.run_folder import RunFolder as R; " \
                  f"print(R(Path({str(run.path)!r})).is_held_by_another())"  # fmt: skip
        for _ in range(2):  # the first look has not released the lock
            read_run(run.path)
            assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "True\n"
    assert read_run(run.path).state == INTERRUPTED


def test_a_lock_file_of_a_killed_process_is_not_running(run):
    run.lock.touch()
    assert read_run(run.path).state == INTERRUPTED
    assert run.lock.exists()


def test_a_failed_run_says_why(run):
    run.record_failure(ValueError("loss is\nnan"))
    found = read_run(run.path)
    assert (found.state, found.note) == (FAILED, "ValueError: loss is nan")
    run.record_failure(UserError("loss is nan: lower optimizer.lr"))
    assert read_run(run.path).note == "loss is nan: lower optimizer.lr"
    with run.held():  # resumed
        assert read_run(run.path).state == RUNNING


@pytest.mark.parametrize("name", ["config.yaml", "summary.json", "failed.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b"a: &a [1]\nb: [*a]\n", b"[" * 100_000])
def test_a_damaged_file_is_a_note(run, name, content):
    (run.path / name).write_bytes(content)
    found = read_run(run.path)
    assert name in found.note
    assert "\n" not in found.note
    assert found.state == (FAILED if name == "failed.json" else INTERRUPTED)
    assert found.verb == (None if name == "config.yaml" else "pretrain")


def test_a_missing_config_is_a_note(run):
    run.config.unlink()
    run.summary.write_text(json.dumps(SUMMARY))
    found = read_run(run.path)
    assert (found.state, found.verb) == (ENDED, "pretrain")
    assert "config.yaml" in found.note


def test_runs_are_found_below_a_folder(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "runs" / "sweep" / "0-seed-1")
    shutil.copytree(run.path, tmp_path / "runs" / ".hidden")
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "runs" / "notes" / "config.yaml").write_text("mine: 1")
    os.symlink(tmp_path / "runs", tmp_path / "runs" / "loop")
    expected = [tmp_path / "runs" / "one", tmp_path / "runs" / "sweep" / "0-seed-1"]
    assert find_runs(tmp_path) == expected
    assert find_runs(run.path) == [run.path]
    assert [record.path for record in read_runs(expected)] == expected
    with pytest.raises(UserError, match="cannot be searched"):
        find_runs(tmp_path / "absent")


def test_old_runs_are_read():
    assert {r.state for r in read_runs(find_runs(OLD))} <= {ENDED, INTERRUPTED}
    found = read_run(OLD / "classification")
    assert (found.state, found.verb, found.note) == (ENDED, "finetune", "")
    assert found.choices()["finetuning"] == "bert"


def test_a_run_that_an_error_ends_says_so_until_it_resumes(run):
    def train(error):
        def fit(*_, **__):
            raise error

        trainer, parts = SimpleNamespace(is_global_zero=True, fit=fit), SimpleNamespace(module=None, data=None)
        Session(OmegaConf.create({}), run, parts, [], [], trainer, None, 0).train()

    with pytest.raises(ValueError, match="broken"):
        train(ValueError("broken"))
    assert read_run(run.path).note == "ValueError: broken"
    with pytest.raises(Interrupted):
        train(Interrupted(signal.SIGTERM, 1, str(run.path)))
    assert read_run(run.path).state == INTERRUPTED  # the file of the earlier failure is gone


def test_a_run_of_another_process_is_running(run):
    program = (
        "import sys; from pathlib import Path; from bert_lightning.runs.run_folder import RunFolder as R\n"
        f"with R(Path({str(run.path)!r})).held(): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        assert read_run(run.path).state == RUNNING
        assert run.is_held_by_another()
        other.stdin.close()
