"""Runs end when their budget is spent, and an interruption changes nothing."""

import csv
import json
from pathlib import Path

import pytest

from bert_lightning.callbacks.budget import BudgetCallback
from bert_lightning.modules.base import EncoderModule
from tests.runs.compare import differences
from tests.runs.test_kills import finished, kill_tree, started, wait_for
from tests.runs.test_resume import cut, trained

TWO = ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "batch_size=4")
SHAPED = ("examples=phases", "masking=decreasing", "budget.ramp=0.6", "budget.ramp_levels=4", "schedule.warmup=0.3")


def rows(run, name):
    """Step -> logged value."""
    with (run / "metrics.csv").open(newline="") as file:
        return {int(row["step"]): float(row[name]) for row in csv.DictReader(file) if row.get(name)}


def summary(run):
    return json.loads((run / "summary.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        ("budget=tokens", "budget.tokens=12_000", "trainer.accumulate_grad_batches=2", "batch_size=4"),
        ("budget=flops", "budget.flops=2e9"),
        ("trainer.max_steps=12",),
    ],
    ids=["tokens", "flops", "steps"],
)
def test_an_interrupted_run_ends_in_the_same_bits(settings, command, tiny_run, tmp_path):
    trained(command, tiny_run, "whole", *SHAPED, *settings)
    whole = tmp_path / "runs" / "whole"
    spent, steps = summary(whole)["budget"], summary(whole)["steps"]
    assert spent["spent"] >= spent["total"]
    assert 8 <= steps <= 60
    assert steps - 1 in rows(whole, "val/mlm/loss")  # the last was validated, and saved
    assert (whole / "checkpoints" / f"step-{steps}.ckpt").exists()
    if spent["unit"] == "tokens":
        assert spent["spent"] == summary(whole)["tokens"]
    for step, workers in ((1, 0), (steps // 2, 2), (steps - 1, 0), (steps, 0)):
        copy = cut(whole, step)
        code, _, errors = command("resume", str(copy), f"num_workers={workers}")
        assert code == 0, errors
        assert differences(whole, copy) == [], f"resumed after step {step}"
        assert summary(copy)["budget"] == spent


@pytest.fixture
def clock(monkeypatch):
    """An update takes a second, a batch of validation an hour."""

    class Clock:
        now = 0.0

    def spending(original, seconds):
        def step(self, *arguments):
            Clock.now += seconds
            return original(self, *arguments)

        return step

    monkeypatch.setattr(EncoderModule, "training_step", spending(EncoderModule.training_step, 1))
    monkeypatch.setattr(EncoderModule, "validation_step", spending(EncoderModule.validation_step, 3600))
    monkeypatch.setattr(BudgetCallback, "_clock", lambda self: Clock.now)
    return Clock


@pytest.mark.slow
def test_minutes_go_on_after_a_break_and_leave_out_validation(clock, command, tiny_run, tmp_path):
    trained(command, tiny_run, "whole", "budget=minutes", "budget.minutes=0.2", *SHAPED)
    whole = tmp_path / "runs" / "whole"
    assert summary(whole)["steps"] == 12
    assert summary(whole)["budget"] == {"unit": "minutes", "total": 0.2, "spent": 0.2, "share": 1.0}
    assert list(rows(whole, "val/mlm/loss")) == [1, 3, 5, 7, 9, 11]
    rates = list(rows(whole, "train/learning_rate").values())
    assert max(rates) == pytest.approx(rates[4], rel=0.05)
    assert rates[-1] == pytest.approx(max(rates) / 8.4, rel=0.1)  # a second before the end, linear in time
    for step in (5, 11, 12):
        clock.now += 24 * 3600
        copy = cut(whole, step)
        code, _, errors = command("resume", str(copy))
        assert code == 0, errors
        assert summary(copy)["steps"] == 12
        assert differences(whole, copy) == [], f"resumed after step {step}"


def test_a_run_ends_with_a_validation_whatever_the_interval(command, tiny_run, tmp_path):
    ramp = ("budget.ramp=0.6", "budget.ramp_levels=4")
    code, output, errors = command("pretrain", *tiny_run, "name=odd", "trainer.max_steps=5", *ramp)
    assert code == 0, errors
    assert list(rows(tmp_path / "runs" / "odd", "val/mlm/loss")) == [1, 3, 4]
    assert "budget: 5 of 5 steps, 100.0%" in output
    code, _, errors = command("resume", "runs/odd", "batch_size=2", "trainer.accumulate_grad_batches=4")
    assert code == 2
    assert (
        "an update of this run has 2 examples (or batches of tokens), but 4 with these overrides" in errors
    )  # at the foot of the ramp


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [("budget=minutes", "budget.minutes=0.05"), ("budget=tokens", "budget.tokens=15_000")],
    ids=lambda s: s[0],
)
def test_two_ranks_stop_at_the_same_step(settings, tiny_run, tmp_path):
    """One of them is slower than the other, and reads other tokens."""
    slow = "+callbacks.slow={_target_: tests.runs.faults.Slow, rank: 1, seconds: 0.03}"
    end = "+callbacks.end._target_=tests.runs.faults.End"
    finished(started(tmp_path, "pretrain", *tiny_run, *TWO, *settings, "name=two", slow, end), tmp_path)
    run = tmp_path / "runs" / "two"
    ends = [path.read_text() for path in sorted(run.glob("end-of-rank-*"))]
    assert ends == [str(summary(run)["steps"])] * 2
    assert int(ends[0]) - 1 in rows(run, "val/mlm/loss")
    assert summary(run)["budget"]["share"] >= 1
    if "tokens" in settings[0]:
        assert summary(run)["budget"]["spent"] == summary(run)["tokens"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes in /proc")
def test_two_ranks_that_are_killed_go_on_with_their_tokens(tiny_run, tmp_path):
    saving = ("callbacks.checkpoints.every_steps=1", "callbacks.checkpoints.keep_last=3", "num_workers=1")
    arguments = [*tiny_run, *TWO, *SHAPED, *saving, "budget=tokens", "budget.tokens=6_000", "model.dropout_rate=0.1"]
    finished(started(tmp_path, "pretrain", *arguments, "name=whole"), tmp_path)
    process = started(tmp_path, "pretrain", *arguments, "name=killed")
    assert wait_for(process, tmp_path / "runs" / "killed", 6)
    kill_tree(process)
    finished(started(tmp_path, "resume", "runs/killed"), tmp_path)
    assert differences(tmp_path / "runs" / "whole", tmp_path / "runs" / "killed") == []
    one = summary(tmp_path / "runs" / "whole")["budget"]
    assert one == summary(tmp_path / "runs" / "killed")["budget"]
