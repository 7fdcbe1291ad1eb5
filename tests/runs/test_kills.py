"""Runs that are killed at random moments, again and again, end bit for bit like an undisturbed run.

BERT_LIGHTNING_KILLS and BERT_LIGHTNING_SIGNALS say how many, over all configurations; each costs a process start.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bert_lightning.runs.trust import TRUST_ENV
from tests.runs.compare import differences

KILLS = int(os.environ.get("BERT_LIGHTNING_KILLS", "8"))
SIGNALS = int(os.environ.get("BERT_LIGHTNING_SIGNALS", "3"))
SEED = int(os.environ.get("BERT_LIGHTNING_KILL_SEED", "0"))
STEPS = 24
FROM_TERMINAL = ("SIGINT", "SIGHUP", "SIGQUIT")  # which a terminal sends to all processes of a command, workers too
CONFIGURATIONS = {
    "one process": (),
    "one process, two workers": ("num_workers=2",),
    "two ranks": ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "batch_size=4"),
    "two ranks, two workers": (
        "trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "batch_size=4", "num_workers=2",
    ),
}  # fmt: skip


def started(folder, *arguments, module=("bert_lightning",), env=os.environ, **variables):
    """`bert-lightning ...` in a process of its own; what it complains of is added to errors.txt."""
    with (folder / "errors.txt").open("a") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", *module, *arguments],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True,
            env={**env, "PYTHONPATH": str(Path(__file__).parents[2]), TRUST_ENV: "tests", **variables},
        )  # fmt: skip


def finished(process, folder):
    """Wait for a process that must succeed."""
    code = process.wait(900)
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


def wait_for(process, run, step, seconds=600):
    """Until the run comes to `step`. Whether the process still runs then."""
    until = time.monotonic() + seconds
    while process.poll() is None and progress(run) < step:
        assert time.monotonic() < until, f"step {step} was not reached"
        time.sleep(0.005)
    return process.poll() is None


# Moments that a kill must meet, in the order of the run, each with its step (tests.runs.faults.Pause); validation is
# every four steps. The other kills come at any time after one of ANYWHERE.
MOMENTS = (("training", 0), ("validation", 8), ("checkpoint", 12), ("training", 17), ("training", STEPS - 1))
ANYWHERE = (2, 3, 4, 5, 9, 10, 13, 14, 18, 19, 20)


def share(total, number):
    """How many of all the kills the configuration of this number gets."""
    return total // len(CONFIGURATIONS) + (number < total % len(CONFIGURATIONS))


def plan(configuration):
    """Steps at which the run of a configuration is killed, and the moments; None for any."""
    chance = random.Random(f"{SEED} {configuration}")
    number = list(CONFIGURATIONS).index(configuration)
    wanted = max(1, share(KILLS, number))
    met = [MOMENTS[(number + i) % len(MOMENTS)] for i in range(min(wanted, len(MOMENTS)))]
    anywhere = [(None, chance.choice(ANYWHERE)) for _ in range(wanted - len(met))]
    return sorted([*met, *anywhere], key=lambda kill: kill[1])


def pause(moment, step, folder):
    """Overrides that let a run wait at a moment, for the one who kills it."""
    values = {"moment": moment or "never", "step": step, "file": folder / f"{moment}-{step}"}
    return [f"callbacks.pause.{name}={value}" for name, value in values.items()]


@pytest.fixture
def command_line(tiny_run):
    """Arguments of a run of a few seconds that saves after every update."""
    checkpoints = ("callbacks.checkpoints.every_steps=1", "callbacks.checkpoints.keep_last=3")
    settings = (f"trainer.max_steps={STEPS}", "trainer.val_check_interval=4", "model.dropout_rate=0.1")
    pausing = "+callbacks.pause={_target_: tests.runs.faults.Pause, moment: never, step: 0, file: none}"
    return ["pretrain", *tiny_run, *checkpoints, *settings, pausing]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes in /proc")
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_killed_runs_end_in_the_same_bits(configuration, command_line, tmp_path):
    chance = random.Random(f"{SEED} {configuration}")
    arguments = [*command_line, *CONFIGURATIONS[configuration]]
    finished(started(tmp_path, *arguments, "name=whole"), tmp_path)
    run, met = tmp_path / "runs" / "killed", []

    def begun(*overrides):
        if (run / "config.yaml").exists():
            return started(tmp_path, "resume", str(run), *overrides)
        return started(tmp_path, *arguments, "name=killed", *overrides)

    for moment, step in plan(configuration):
        process, mark = begun(*pause(moment, step, tmp_path)), tmp_path / f"{moment}-{step}"
        if moment is None:
            wait_for(process, run, step)
            time.sleep(chance.uniform(0, 0.15))
        while moment and process.poll() is None and not mark.exists():
            time.sleep(0.01)
        if process.poll() is None:
            met.append(f"{moment or 'anywhere'} {step}")
        kill_tree(process)
    finished(begun(*pause(None, 0, tmp_path)), tmp_path)
    assert len(met) >= 1
    assert differences(tmp_path / "runs" / "whole", run) == [], f"{configuration}: killed at {met}"
    print(f"{configuration}: {len(met)} kills ({', '.join(met)}), the same bits")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "configuration"),
    [
        ("SIGTERM", "one process, two workers"), ("SIGTERM", "two ranks"), ("SIGUSR1", "two ranks"),
        ("SIGINT", "one process, two workers"), ("SIGINT", "two ranks"), ("SIGHUP", "two ranks, two workers"),
        ("SIGQUIT", "one process"),
    ],
)  # fmt: skip
def test_a_signal_saves_at_the_end_of_the_update(name, configuration, command_line, tmp_path):
    chance = random.Random(f"{SEED} {name} {configuration}")
    arguments = [*command_line, *CONFIGURATIONS[configuration], "callbacks.checkpoints.every_steps=100"]
    finished(started(tmp_path, *arguments, "name=whole"), tmp_path)
    run, number = tmp_path / "runs" / "stopped", getattr(signal, name)
    process = started(tmp_path, *arguments, "name=stopped", "trainer.log_every_n_steps=1")
    steps = sorted(chance.sample(range(2, STEPS - 8), max(1, SIGNALS // 3)))
    for count, step in enumerate(steps, 1):
        target = max(step, logged(run) + 2)  # not before a process that resumes has taken its first step
        while process.poll() is None and logged(run) < target:
            time.sleep(0.01)
        if name in FROM_TERMINAL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        code, errors = process.wait(300), (tmp_path / "errors.txt").read_text()
        assert code == 128 + number, errors
        assert errors.count(f"stopped by {name}") == count
        assert errors.count("error:") == count, errors
        assert list(run.glob("checkpoints/step-*.ckpt"))
        process = started(tmp_path, "resume", str(run))
    finished(process, tmp_path)
    assert differences(tmp_path / "runs" / "whole", run) == []
    print(f"{configuration}: {len(steps)} {name} after steps {steps}, the same bits")


def logged(run):
    """The newest step in the run's log."""
    log = run / "metrics.csv"
    lines = log.read_text().splitlines() if log.exists() else []
    column = lines[0].split(",").index("step") if lines else 0
    return max((int(line.split(",")[column]) for line in lines[1:-1]), default=0)
