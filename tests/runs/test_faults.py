"""Faults around a run are reported to the user, and nothing is lost."""

import json
import os
import shutil
import subprocess

import pytest
import torch

from tests.runs.compare import differences
from tests.runs.test_kills import finished, started
from tests.runs.test_ranks import TWO
from tests.runs.test_resume import trained

SAVING = ("callbacks.checkpoints.every_steps=1", "model.dropout_rate=0.1")


def fault(step, rank, how):
    return f"+callbacks.fault={{_target_: tests.runs.faults.Fault, step: {step}, rank: {rank}, how: {how}}}"


def with_a_fault_that_never_comes(run):
    """The run's config, with a fault that never comes."""
    config = run / "config.yaml"
    text = config.read_text()
    before, _, after = text.partition("_target_: tests.runs.faults.Fault")
    config.write_text(f"{before}_target_: tests.runs.faults.Fault{after.replace('step: ', 'step: 9', 1)}")


@pytest.mark.slow
def test_ranks_start_again_after_one_was_killed(tiny_run, tmp_path):
    """Killed in step 50 of 60; the newest checkpoint is of step 45."""
    settings = (*tiny_run, *TWO, "model.dropout_rate=0.1", "callbacks.checkpoints.every_steps=15",
                "trainer.max_steps=60", "trainer.val_check_interval=20")  # fmt: skip
    finished(started(tmp_path, "pretrain", *settings, "name=whole"), tmp_path)
    finished(started(tmp_path, "pretrain", *settings, fault(50, 1, "kill"), "restarts=1", "name=again"), tmp_path)
    errors = (tmp_path / "errors.txt").read_text()
    assert errors.count("a rank failed, and all ranks start again (restart 1 of 1)") == 1, errors
    assert "Traceback" not in errors
    assert differences(tmp_path / "runs" / "whole", tmp_path / "runs" / "again") == []


@pytest.mark.slow
def test_a_loss_that_is_not_finite_on_one_of_two_ranks(tiny_run, tmp_path):
    settings = (*tiny_run, *TWO, "model.dropout_rate=0.1", "trainer.max_steps=24", "trainer.val_check_interval=8")
    finished(started(tmp_path, "pretrain", *settings, "name=whole"), tmp_path)
    run = tmp_path / "runs" / "stopped"
    process = started(tmp_path, "pretrain", *settings, fault(19, 1, "infinite"), "name=stopped")
    assert process.wait(300) == 2
    errors = (tmp_path / "errors.txt").read_text()
    assert errors.count("the loss of update 20 is not finite") == 1, errors
    assert "Traceback" not in errors
    assert [path.name for path in run.glob("not-finite-*")] == ["not-finite-step-20-rank-1.pt"]
    (batch,) = torch.load(run / "not-finite-step-20-rank-1.pt", weights_only=True)
    assert batch["input_ids"].shape[0] == 4
    assert [path.name for path in run.glob("checkpoints/step-*")] == ["step-19.ckpt"]
    with_a_fault_that_never_comes(run)
    finished(started(tmp_path, "resume", str(run)), tmp_path)
    assert differences(tmp_path / "runs" / "whole", run) == []

    skip = "callbacks.finite_loss.action=skip"
    finished(started(tmp_path, "pretrain", *settings, fault(19, 1, "infinite"), skip, "name=skipped"), tmp_path)
    summary = json.loads((tmp_path / "runs" / "skipped" / "summary.json").read_text())
    assert summary["metrics"]["train/skipped_updates"] == 1
    assert summary["steps"] == 24


@pytest.mark.slow
def test_a_worker_that_the_system_killed(tiny_run, tmp_path):
    settings = (*tiny_run, *SAVING, "num_workers=1", "trainer.max_steps=12", "trainer.val_check_interval=4")
    finished(started(tmp_path, "pretrain", *settings, "num_workers=0", "name=whole"), tmp_path)
    run = tmp_path / "runs" / "broken"
    assert started(tmp_path, "pretrain", *settings, fault(6, 0, "worker"), "name=broken").wait(300) != 0
    assert "is killed by signal: Killed" in (tmp_path / "errors.txt").read_text()
    with_a_fault_that_never_comes(run)
    finished(started(tmp_path, "resume", str(run)), tmp_path)
    assert differences(tmp_path / "runs" / "whole", run) == []


def test_a_part_of_the_data_that_is_lost(command, tiny_run, tmp_path):
    """The store is checked before training; with the file back, the run goes on to the same bits."""
    from tests.runs.test_resume import cut

    trained(command, tiny_run, "whole")
    whole = tmp_path / "runs" / "whole"
    copy = cut(whole, 2)
    lost = max((tmp_path / "data").rglob("train/*"), key=lambda path: path.stat().st_size)
    lost.rename(tmp_path / "kept")
    before = sorted(path.name for path in copy.rglob("*"))
    code, _, errors = command("resume", str(copy))
    assert code == 2
    assert errors.count("\n") == 1, errors
    assert str(lost) in errors
    assert sorted(path.name for path in copy.rglob("*")) == before
    (tmp_path / "kept").rename(lost)
    code, _, errors = command("resume", str(copy))
    assert code == 0, errors
    assert differences(whole, copy) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of a megabyte and a half."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.slow
def test_a_disk_that_is_full(small_disk, command, tiny_run, tmp_path):
    """Training goes on without the checkpoints that find no room; the last one must find it."""
    more = (*SAVING, "callbacks.checkpoints.keep_last=9", "trainer.max_steps=12", "trainer.val_check_interval=4")
    code, _, errors = command("pretrain", *tiny_run, *more, "name=whole")
    assert code == 0, errors
    code, _, errors = command("pretrain", *tiny_run, *more, f"runs={small_disk}", "name=full")
    assert code == 2, errors
    full = small_disk / "full"
    assert "could not be written (No space left on device): training continues without" in errors, errors
    assert errors.splitlines()[-1].endswith(f"make room, then bert-lightning resume {full}"), errors
    saved = sorted(full.glob("checkpoints/step-*.ckpt"))
    assert saved
    assert not list(full.glob("checkpoints/*.partial"))
    roomy = tmp_path / "runs" / "full"
    shutil.copytree(full, roomy, symlinks=True)
    code, _, errors = command("resume", str(roomy))
    assert code == 0, errors
    assert differences(tmp_path / "runs" / "whole", roomy) == []


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["unwritable", "offline"])
def test_weights_and_biases_in_trouble(trouble, command, tiny_run, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="needs the wandb extra")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    trained(command, tiny_run, "whole")
    if trouble == "unwritable":
        (tmp_path / "runs" / "a").mkdir(parents=True)
        (tmp_path / "runs" / "a" / "wandb").write_text("a file stands where the folder would be")
    code, _, errors = command("pretrain", *tiny_run, "model.dropout_rate=0.1", "name=a", "logger=wandb")
    assert code == 0, errors
    if trouble == "unwritable":
        assert errors.count("WandbLogger failed, so the run continues without it") == 1, errors
    else:
        assert len(list((tmp_path / "runs" / "a").glob("wandb/offline-run-*"))) == 1
        assert os.environ["WANDB_MODE"] == "offline"
    assert differences(tmp_path / "runs" / "whole", tmp_path / "runs" / "a") == []
