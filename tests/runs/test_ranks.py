"""Several ranks on this machine: sweeps, failures, and the same results as one process."""

import json
import re
import time

import pytest

from tests.runs.compare import differences
from tests.runs.test_kills import finished, started
from tests.runs.test_resume import cut
from tests.runs.test_two_ranks import losses, validation

TWO = ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "batch_size=4")

pytestmark = pytest.mark.slow


def test_a_sweep_has_one_folder_a_job_and_none_nested(tiny_run, tmp_path):
    small = [override for override in tiny_run if not override.startswith("tokenizer.")]  # a recipe has its own
    sweep = ("variant=bert,albert", "seed=1,2", "name=study")
    finished(started(tmp_path, "pretrain", "-m", *small, *TWO, *sweep), tmp_path)
    study = tmp_path / "runs" / "study"
    folders = sorted(path for path in study.iterdir() if path.is_dir())
    assert [path.name for path in folders] == [
        "0-variant-bert-seed-1", "1-variant-bert-seed-2", "2-variant-albert-seed-1", "3-variant-albert-seed-2",
    ]  # fmt: skip
    for folder in folders:
        names = {
            "config.yaml",
            "tokenizer.json",
            "checkpoints",
            "metrics.csv",
            "predictions",
            "tensorboard",
            "summary.json",
        }
        assert {path.name for path in folder.iterdir()} == names
        summary = json.loads((folder / "summary.json").read_text())
        assert (summary["ranks"], summary["steps"]) == (2, 4)
    assert len(list(tmp_path.rglob("config.yaml"))) == 4


@pytest.mark.parametrize(
    ("how", "message"),
    [("error", "RuntimeError: the disk of this rank is gone"), ("kill", r"rank 1 was killed \(SIGKILL\)")],
)
def test_a_rank_that_fails_ends_the_job_in_seconds(how, message, tiny_run, tmp_path):
    fault = f"+callbacks.fault={{_target_: tests.runs.faults.Fault, step: 3, rank: 1, how: {how}}}"
    saving = ("callbacks.checkpoints.every_steps=1", "trainer.max_steps=8")
    process = started(tmp_path, "pretrain", *tiny_run, *TWO, *saving, "name=broken", fault)
    checkpoint = tmp_path / "runs" / "broken" / "checkpoints" / "step-3.ckpt"
    while process.poll() is None and not checkpoint.exists():
        time.sleep(0.01)
    began = time.monotonic()
    assert process.wait(60) == 1
    assert time.monotonic() - began < 30
    errors = (tmp_path / "errors.txt").read_text()
    assert len(re.findall(message, errors)) == 1, errors
    assert errors.count("Traceback") <= 1, errors
    finished(started(tmp_path, "pretrain", *tiny_run, *TWO, *saving, "name=whole"), tmp_path)
    config = tmp_path / "runs" / "broken" / "config.yaml"
    config.write_text(config.read_text().replace("step: 3", "step: 99"))
    finished(started(tmp_path, "resume", "runs/broken"), tmp_path)
    assert differences(tmp_path / "runs" / "whole", tmp_path / "runs" / "broken") == []


def test_torchrun_starts_what_one_process_composed(tiny_run, tmp_path):
    finished(started(tmp_path, "pretrain", *tiny_run, *TWO, "name=ours"), tmp_path)
    finished(started(tmp_path, "pretrain", *tiny_run, *TWO, "name=theirs", "launch=none"), tmp_path)
    assert not (tmp_path / "runs" / "theirs" / "summary.json").exists()
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "bert_lightning")
    finished(started(tmp_path, "resume", "runs/theirs", module=torchrun), tmp_path)
    assert differences(tmp_path / "runs" / "ours", tmp_path / "runs" / "theirs") == []


def test_resumed_with_other_workers_and_with_other_ranks(tiny_run, tmp_path):
    """Two ranks with two workers: the same bits. One rank: the same global batches, and losses up to rounding."""
    settings = ("callbacks.checkpoints.every_steps=1", "callbacks.checkpoints.keep_last=99", "trainer.max_steps=24",
                "trainer.val_check_interval=8", "model.dropout_rate=0")  # fmt: skip
    finished(started(tmp_path, "pretrain", *tiny_run, *TWO, *settings, "name=whole"), tmp_path)
    whole = tmp_path / "runs" / "whole"
    workers, alone = cut(whole, 5), cut(whole, 6)
    finished(started(tmp_path, "resume", str(workers), "num_workers=2"), tmp_path)
    assert differences(whole, workers) == []
    finished(started(tmp_path, "resume", str(alone), "trainer.devices=1", "batch_size=8"), tmp_path)
    before, after = (json.loads((run / "summary.json").read_text()) for run in (whole, alone))
    assert (before["ranks"], after["ranks"]) == (2, 1)
    assert before["tokens"] == after["tokens"]
    worst = max(abs(a - b) / a for a, b in zip(losses(whole), losses(alone), strict=True))
    apart = max(abs(value - validation(alone)[name]) / value for name, value in validation(whole).items() if value)
    print(f"two ranks resumed as one: losses within {worst:.1e}, validation within {apart:.1e}")
    assert worst < 1e-6
    assert apart < 1e-5
