"""existing=resume: the same command again goes on with its run, and with no other."""

import json

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
    assert "runs/whole-2 holds another run: seed 0 there and 7 here, optimizer.lr" in errors
    code, _, errors = command(*again, "name=whole-2", "existing=refuse")
    assert code == 2
    assert "already holds a run" in errors
    code, _, errors = command(*again, "name=new", "existing=perhaps")
    assert code == 2
    assert "existing=perhaps must be refuse or resume" in errors


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
