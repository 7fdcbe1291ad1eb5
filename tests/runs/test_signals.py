"""Signals from a terminal or a cluster: the run saves, prints one line and exits with the right code."""

import signal

import pytest

from bert_lightning.runtime import signals
from tests.runs.compare import differences
from tests.runs.test_resume import trained

SETTINGS = ("model.dropout_rate=0.1", "trainer.max_steps=8", "trainer.val_check_interval=4")


def sent(moment, step, *names):
    return (
        f"+callbacks.signals={{_target_: tests.runs.faults.Signals, moment: {moment}, step: {step}, "
        f"names: [{','.join(names)}]}}"
    )


def saved(run):
    return sorted(path.name for path in run.glob("checkpoints/step-*"))


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGQUIT", "SIGTERM"])
def test_the_update_under_way_is_saved(name, command, tiny_run, runs, monkeypatch):
    handler = signal.getsignal(signal.Signals[name])
    code, _, errors = command("pretrain", *tiny_run, *SETTINGS, "name=stopped", sent("training", 2, name))
    assert code == 128 + signal.Signals[name]
    assert errors.splitlines()[-1] == (
        f"bert-lightning: error: stopped by {name} after step 2: to continue, run bert-lightning resume runs/stopped"
    )
    assert ("press Ctrl-C again to stop at once" in errors) == (name == "SIGINT")
    assert saved(runs / "stopped") == ["step-2.ckpt"]
    assert signal.getsignal(signal.Signals[name]) is handler
    trained(command, (*tiny_run, *SETTINGS), "whole")
    monkeypatch.setenv("BERT_LIGHTNING_TRUST", "tests.runs.faults")
    code, _, errors = command("resume", "runs/stopped", "callbacks.signals.step=99")
    assert code == 0, errors
    assert differences(runs / "whole", runs / "stopped") == []


def test_a_second_interrupt_stops_at_once(command, tiny_run, runs, monkeypatch):
    monkeypatch.setattr(signals, "_SAME_PRESS", -1.0)
    fault = sent("validation", 4, "SIGINT", "SIGINT")
    code, _, errors = command("pretrain", *tiny_run, *SETTINGS, "callbacks.checkpoints.every_steps=3", fault)
    assert code == 130
    assert "Traceback" not in errors
    (run,) = runs.iterdir()
    message = "bert-lightning: error: stopped by SIGINT: to continue, run bert-lightning resume runs/"
    assert errors.splitlines()[-1].startswith(message)
    assert saved(run) == ["step-3.ckpt"]


def test_the_launcher_passes_on_what_its_ranks_got_already(command, tiny_run, runs):
    code, _, errors = command("pretrain", *tiny_run, *SETTINGS, "name=twice", sent("training", 2, "SIGINT", "SIGINT"))
    assert code == 130, errors
    assert saved(runs / "twice") == ["step-2.ckpt"]


def test_an_interrupt_where_no_checkpoints_are_kept(command, tiny_run, runs):
    fault = sent("training", 2, "SIGINT")
    code, _, errors = command("pretrain", *tiny_run, *SETTINGS, "name=none", "callbacks.checkpoints=null", fault)
    assert code == 130
    assert errors.splitlines()[-1].startswith("bert-lightning: error: stopped by SIGINT: ")
    assert saved(runs / "none") == []


def test_an_ignored_signal_stays_ignored(command, tiny_run, runs):
    """nohup starts a command with SIGHUP ignored, and expects it to go on."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        code, _, errors = command("pretrain", *tiny_run, *SETTINGS, "name=nohup", sent("training", 2, "SIGHUP"))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert code == 0, errors


def test_an_unknown_signal_is_refused(command, tiny_run):
    code, _, errors = command("pretrain", *tiny_run, "+callbacks.checkpoints.signals=[SIGFOO]")
    assert code == 2
    assert errors.count("\n") == 1, errors
    assert "SIGFOO is not a signal" in errors
