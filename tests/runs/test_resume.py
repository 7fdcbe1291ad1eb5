"""A run that was interrupted and resumed ends bit for bit like an uninterrupted run."""

import json
import shutil

import pytest

from tests.runs.compare import differences

EVERY = ("callbacks.checkpoints.every_steps=1", "callbacks.checkpoints.keep_last=100", "model.dropout_rate=0.1")


def trained(command, tiny_run, name, *extra):
    code, _, errors = command("pretrain", *tiny_run, f"name={name}", *EVERY, *extra)
    assert code == 0, errors


def cut(whole, step):
    """A copy of a run as it would be had the process been killed after its checkpoint at `step`."""
    copy = whole.with_name(f"{whole.name}-{step}")
    shutil.copytree(whole, copy, symlinks=True)
    (copy / "summary.json").unlink()
    for path in copy.glob("checkpoints/step-*.ckpt"):
        if int(path.stem.partition("-")[2]) > step:
            path.unlink()
    return copy


# Validation is every two steps: resumes before one, right after one, at the end, and in every step of the first case.
CASES = {
    "plain": ((1, 2, 3, 6), ("trainer.max_steps=6",)),
    "accumulated": ((1, 2), ("trainer.max_steps=4", "trainer.accumulate_grad_batches=2")),
    "over epochs, logged seldom": ((3, 4), ("trainer.max_steps=6", "batch_size=40", "trainer.log_every_n_steps=4")),
}


@pytest.mark.parametrize("case", CASES)
def test_resume_gives_the_same_bits(case, command, tiny_run, tmp_path):
    after, settings = CASES[case]
    trained(command, tiny_run, "whole", *settings)
    whole = tmp_path / "runs" / "whole"
    for step in after:
        copy = cut(whole, step)
        code, output, errors = command("resume", str(copy))
        assert code == 0, errors
        assert "steps in" in output
        assert differences(whole, copy) == [], f"resumed after step {step}"


def test_workers_change_nothing(command, tiny_run, tmp_path):
    trained(command, tiny_run, "whole", "trainer.max_steps=4")
    copy = cut(tmp_path / "runs" / "whole", 3)
    code, _, errors = command("resume", str(copy), "num_workers=2")
    assert code == 0, errors
    assert differences(tmp_path / "runs" / "whole", copy) == []


def test_early_stopping_goes_on_counting(command, tiny_run, tmp_path):
    """It waits for three validations without progress; the run is cut after the first of them, and at its end."""
    stop = "{_target_: lightning.pytorch.callbacks.EarlyStopping, monitor: val/mlm/loss, patience: 3, min_delta: 9.0}"
    trained(command, tiny_run, "whole", "trainer.max_steps=20", f"+callbacks.stop={stop}")
    whole = tmp_path / "runs" / "whole"
    steps = json.loads((whole / "summary.json").read_text())["steps"]
    assert steps == 8
    for step in (4, 8):
        copy = cut(whole, step)
        assert command("resume", str(copy))[0] == 0
        assert differences(whole, copy) == [], f"resumed after step {step}"


def test_a_finished_run_is_left_alone(command, tiny_run, tmp_path):
    trained(command, tiny_run, "whole")
    before = (tmp_path / "runs/whole/summary.json").stat().st_mtime_ns
    code, output, _ = command("resume", "runs/whole")
    assert (code, output) == (0, output)
    assert "4 steps" in output
    assert (tmp_path / "runs/whole/summary.json").stat().st_mtime_ns == before


def test_tensorboard_shows_every_step_once(command, tiny_run, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(command, tiny_run, "whole", "trainer.max_steps=6")
    copy = cut(tmp_path / "runs" / "whole", 3)  # whose log holds all six steps
    assert command("resume", str(copy))[0] == 0
    events = EventAccumulator(str(copy / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == list(range(6))


@pytest.mark.slow
def test_wandb_goes_on_in_the_same_run(command, tiny_run, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="needs the wandb extra")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    trained(command, tiny_run, "whole", "logger=wandb")
    copy = cut(tmp_path / "runs" / "whole", 3)
    assert command("resume", str(copy))[0] == 0
    parts = list(copy.glob("wandb/offline-run-*"))
    assert len(parts) == 2
    # offline-run-<time>-<run>; two parts that began in the same second differ by one more number.
    names = {path.name.split("-")[3] for path in parts}
    assert len(names) == 1, names


MISTAKES = {
    "no folder": ([], "resume takes the folder of a run"),
    "no run": (["nowhere"], "nowhere is not a run's folder: it has no config.yaml"),
    "another run": (["runs/whole", "seed=3"], "seed=3 cannot be changed in a run"),
    "another batch": (
        ["runs/whole", "batch_size=3"],
        "an update of this run has 8 examples (or batches of tokens), but 3 with these overrides",
    ),
    "mistyped key": (["runs/whole", "callbacks.checkpoints.keep=3"], "callbacks.checkpoints.keep is not a key of"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_get_one_line(case, command, tiny_run, tmp_path):
    arguments, message = MISTAKES[case]
    if "runs/whole" in arguments:
        trained(command, tiny_run, "whole", "trainer.max_steps=2")
    code, _, errors = command("resume", *arguments)
    assert code == 2
    assert errors.count("\n") == 1, errors
    assert message in errors


@pytest.mark.slow
def test_a_run_is_trained_by_one_process_at_a_time(command, tiny_run, tmp_path):
    from tests.runs.test_kills import kill_tree, started, wait_for

    run = tmp_path / "runs" / "busy"
    saving = ("callbacks.checkpoints.every_steps=1", "trainer.max_steps=2000", "trainer.val_check_interval=1000")
    process = started(tmp_path, "pretrain", *tiny_run, "name=busy", *saving)
    try:
        assert wait_for(process, run, 1)
        code, _, errors = command("resume", str(run))
    finally:
        kill_tree(process)
    assert code == 2
    assert f"{run} is being trained by another process" in errors
