"""Runs that are killed at random moments, again and again, end in the bits of the run that was left alone.

BERT_LIGHTNING_KILLS says how many kills, over all configurations; each costs a process start.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.runs.compare import differences

KILLS = int(os.environ.get("BERT_LIGHTNING_KILLS", "12"))
SEED = int(os.environ.get("BERT_LIGHTNING_KILL_SEED", "0"))
STEPS = 24
CONFIGURATIONS = {
    "one process": (),
    "one process, two workers": ("num_workers=2",),
    "two ranks": ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "batch_size=4"),
    "two ranks, two workers": (
        "trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "batch_size=4", "num_workers=2",
    ),
}  # fmt: skip


def started(folder, *arguments, module=("bert_lightning",), env=os.environ):
    """`bert-lightning ...` in a process of its own; what it complains of is added to errors.txt."""
    with (folder / "errors.txt").open("a") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", *module, *arguments],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=errors,
            env={**env, "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip


def finished(process, folder):
    """Wait for a process that must succeed."""
    code = process.wait(300)
    assert code == 0, (folder / "errors.txt").read_text()[-3000:]


def tree(pid):
    """A process and all below it, by /proc."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found = [pid]
    for process in found:
        found += parents.get(process, [])
    return found


def kill_tree(process):
    for pid in tree(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def progress(run):
    """The newest step that a checkpoint is written for, or is being."""
    steps = [path.name.split("-")[1].split(".")[0] for path in run.glob("checkpoints/step-*.ckpt*")]
    return max(map(int, steps), default=0)


def wait_for(process, run, step, seconds=240):
    """Until the run comes to `step`. Whether the process still runs then."""
    until = time.monotonic() + seconds
    while process.poll() is None and progress(run) < step:
        assert time.monotonic() < until, f"step {step} was not reached"
        time.sleep(0.005)
    return process.poll() is None


@pytest.fixture
def command_line(tiny_run, tmp_path):
    """Arguments of a run of a few seconds that saves after every update."""
    checkpoints = ("callbacks.checkpoints.every_steps=1", "callbacks.checkpoints.keep_last=3")
    settings = (f"trainer.max_steps={STEPS}", "trainer.val_check_interval=4", "model.dropout_rate=0.1")
    return ["pretrain", *tiny_run, *checkpoints, *settings]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes in /proc")
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_killed_runs_end_in_the_same_bits(configuration, command_line, tmp_path):
    chance = random.Random(f"{SEED} {configuration}")
    arguments = [*command_line, *CONFIGURATIONS[configuration]]
    finished(started(tmp_path, *arguments, "name=whole"), tmp_path)
    run, kills = tmp_path / "runs" / "killed", 0
    process = started(tmp_path, *arguments, "name=killed")
    wanted = max(1, KILLS // len(CONFIGURATIONS))
    for number in range(wanted):
        # Later and later in the run; with every fourth kill as early as it comes: before the first step of a resume.
        earliest = progress(run)
        target = earliest if number % 4 == 3 else min(STEPS, earliest + chance.randint(1, max(1, STEPS // wanted)))
        wait_for(process, run, target)
        time.sleep(chance.uniform(0, 0.15))
        alive = process.poll() is None
        kill_tree(process)
        kills += alive
        if not (run / "config.yaml").exists():
            process = started(tmp_path, *arguments, "name=killed")
        elif (run / "summary.json").exists():
            break
        else:
            process = started(tmp_path, "resume", str(run))
    finished(process, tmp_path)
    assert kills >= 1
    assert differences(tmp_path / "runs" / "whole", run) == [], f"{configuration}: after {kills} kills"
    print(f"{configuration}: {kills} kills, the same bits")


@pytest.mark.slow
@pytest.mark.parametrize("configuration", ["one process, two workers", "two ranks"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_saves_at_the_end_of_the_update(name, configuration, command_line, tmp_path):
    arguments = [*command_line, *CONFIGURATIONS[configuration], "callbacks.checkpoints.every_steps=100"]
    finished(started(tmp_path, *arguments, "name=whole"), tmp_path)
    run = tmp_path / "runs" / "stopped"
    process = started(tmp_path, *arguments, "name=stopped", "trainer.log_every_n_steps=1")
    log = run / "metrics.csv"
    while process.poll() is None and (not log.exists() or len(log.read_text().splitlines()) < 5):
        time.sleep(0.01)
    process.send_signal(getattr(signal, name))
    code, errors = process.wait(60), (tmp_path / "errors.txt").read_text()
    assert code == 128 + getattr(signal, name), errors
    assert f"stopped by {name}" in errors
    assert errors.count("error:") == 1, errors
    assert len(list(run.glob("checkpoints/step-*.ckpt"))) == 1
    finished(started(tmp_path, "resume", str(run)), tmp_path)
    assert differences(tmp_path / "runs" / "whole", run) == []
