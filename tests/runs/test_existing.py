"""With existing=resume, the same command again continues its own run, and no other run."""

import json

import pytest

from bert_lightning.errors import UserError
from bert_lightning.runs.ranks import is_launched_rank
from bert_lightning.runs.slurm_job import run_name_suffix
from tests.runs.compare import differences
from tests.runs.test_resume import EVERY, cut, trained


def test_the_same_command_again_goes_on(command, tiny_run, tmp_path):
    trained(command, tiny_run, "whole")
    whole = tmp_path / "runs" / "whole"
    again = ("pretrain", *tiny_run, *EVERY, "existing=resume", "callbacks.checkpoints.keep_last=50")
    copy = cut(whole, 2)
    for path in (copy / "config.yaml",):
        path.write_text(path.read_text().replace("name: whole", "name: whole-2"))
    code, _, errors = command(*again, "name=whole-2")
    assert code == 0, errors
    assert differences(whole, copy) == []

    ended = (copy / "summary.json").stat().st_mtime_ns
    code, output, errors = command(*again, "name=whole-2")
    assert code == 0, errors
    assert "4 steps in" in output
    assert (copy / "summary.json").stat().st_mtime_ns == ended

    code, _, errors = command(*again, "name=whole-2", "seed=7", "optimizer.lr=0.5")
    assert code == 2
    assert errors.count("\n") == 1, errors
    assert "runs/whole-2 holds another run: seed is 0 there and 7 now, optimizer.lr is" in errors
    code, _, errors = command(*again, "name=whole-2", "existing=refuse")
    assert code == 2
    assert "already holds a run" in errors


@pytest.mark.slow
def test_a_sweep_again_trains_what_is_left(command, tiny_run, tmp_path):
    sweep = ("pretrain", "-m", *tiny_run, *EVERY, "name=study", "existing=resume", "seed=1,2")
    code, _, errors = command(*sweep)
    assert code == 0, errors
    first, second = (tmp_path / "runs" / "study" / name for name in ("0-seed-1", "1-seed-2"))
    ended = (first / "summary.json").stat().st_mtime_ns
    before = json.loads((second / "summary.json").read_text())["metrics"]["val/mlm/loss"]
    (second / "summary.json").unlink()
    for step in (3, 4):
        (second / "checkpoints" / f"step-{step}.ckpt").unlink()
    code, _, errors = command(*sweep)
    assert code == 0, errors
    assert (first / "summary.json").stat().st_mtime_ns == ended
    assert json.loads((second / "summary.json").read_text())["metrics"]["val/mlm/loss"] == before


MISTAKES = {
    "existing=perhaps": "existing=perhaps must be refuse or resume",
    "launch=rsh": "launch=rsh must be auto, srun or none",
    "launch=srun": "launch=srun works inside a SLURM job only: run this command in a script, and submit it with sbatch",
    "restarts=-1": "restarts=-1 must be 0 or more",
}


@pytest.mark.parametrize("override", MISTAKES)
def test_mistakes_get_one_line_and_leave_no_folder(override, command, tiny_run, tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    code, _, errors = command("pretrain", *tiny_run, "name=new", override)
    assert code == 2
    assert errors.splitlines() == [f"bert-lightning: error: {MISTAKES[override]}"]
    assert not (tmp_path / "runs").exists()


def test_a_task_of_srun_is_a_rank_if_there_are_as_many(monkeypatch):
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    assert not is_launched_rank(1)
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert is_launched_rank(1)
    assert not is_launched_rank(4)  # the whole program is one task, and starts its ranks itself
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    assert is_launched_rank(4)
    with pytest.raises(UserError, match="srun started 4 tasks, but this run has 2 ranks: give srun --ntasks=2"):
        is_launched_rank(2)


def test_a_job_names_its_run_whenever_it_starts(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.delenv("ENVIRONMENT", raising=False)
    assert run_name_suffix() != "job17"  # a shell inside a job may start many runs
    monkeypatch.setenv("ENVIRONMENT", "BATCH")
    assert run_name_suffix() == "job17"
