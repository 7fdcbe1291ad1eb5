"""Tests on a real SLURM: ranks by srun, preempted jobs that resume, a sweep by submitit. Run: `make test-slurm`."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from bert_lightning.cli import conf_folder
from tests.runs.compare import differences
from tests.runs.test_kills import finished, progress, started
from tests.slurm.cluster import Cluster, missing

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(missing() is not None, reason=str(missing()))]

SBATCH = conf_folder() / "trainer" / "slurm.sbatch"
SMALL = ("--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=0", "--cpus-per-task=1", "--time=30:00")
STEPS = 24
SETTINGS = (
    "batch_size=4", "trainer.accelerator=cpu", f"trainer.max_steps={STEPS}", "trainer.val_check_interval=4",
    "model.dropout_rate=0.1", "callbacks.checkpoints.every_steps=1", "callbacks.checkpoints.keep_last=3",
)  # fmt: skip
SLOWLY = "+callbacks.slow={_target_: tests.runs.faults.Slow, seconds: 0.5}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        cluster.environment |= {
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "MASTER_ADDR": "127.0.0.1",  # the nodes are names of one machine, which nobody resolves
            "PATH": f"{Path(sys.executable).parent}:{cluster.environment['PATH']}",
        }
        yield cluster


def log(folder, job):
    return (folder / f"job-{job}.log").read_text()


def wait_for_step(run, step, seconds=600):
    until = time.monotonic() + seconds
    while progress(run) < step:
        assert time.monotonic() < until, f"{run} did not reach step {step}"
        time.sleep(0.1)


def test_two_machines_and_a_job_that_is_warned_and_preempted(cluster, tiny_run, tmp_path):
    """Undisturbed on one machine and on two, and on two with a warning and a preemption: the same bits.

    The job gives each rank one thread, as the run outside has here: another number rounds otherwise.
    """
    arguments = ("pretrain", *tiny_run, *SETTINGS)
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    alone = ("trainer=ddp", "trainer.devices=2", "name=here")
    finished(started(tmp_path, *arguments, *alone, env=one_thread), tmp_path)
    whole, broken = tmp_path / "runs" / "whole", tmp_path / "runs" / "broken"
    job = cluster.submit(*SMALL, SBATCH, *arguments, "name=whole", folder=tmp_path)
    cluster.wait_for(job, "COMPLETED")
    assert json.loads((whole / "summary.json").read_text())["ranks"] == 2
    assert differences(tmp_path / "runs" / "here", whole) == []

    job = cluster.submit(*SMALL, SBATCH, *arguments, "name=broken", SLOWLY, folder=tmp_path)
    wait_for_step(broken, 3)
    cluster.run("scancel", "--signal=USR1", job)  # what --signal=USR1@120 sends before the time limit
    cluster.wait_for(job, "PENDING")
    warned = progress(broken)
    cluster.wait_for(job, "RUNNING")
    wait_for_step(broken, warned + 3)
    urgent = cluster.submit("--partition=high", "--nodes=2", "--cpus-per-task=4", "--wrap=sleep 1", folder=tmp_path)
    cluster.wait_for(urgent, "COMPLETED")
    cluster.wait_for(job, "COMPLETED")
    said = log(tmp_path, job)
    assert said.count(f"SLURM requeues job {job}") == 2, said
    assert said.count("stopped by SIGUSR1") == 1, said
    assert said.count("stopped by SIGTERM") == 1, said
    assert "Traceback" not in said
    assert differences(whole, broken) == []


def test_a_rank_that_fails_ends_the_job_and_is_said_once(cluster, tiny_run, tmp_path):
    fault = "+callbacks.fault={_target_: tests.runs.faults.Fault, step: 3, rank: 1, how: error}"
    job = cluster.submit(*SMALL, SBATCH, "pretrain", *tiny_run, *SETTINGS, "name=a", fault, folder=tmp_path)
    cluster.wait_for(job, "FAILED")
    said = log(tmp_path, job)
    assert said.count("RuntimeError: the disk of this rank is gone") == 1, said
    assert said.count("the traceback is in") == 1, said
    assert "Traceback" not in said, said


def test_a_sweep_of_three_jobs_by_submitit(cluster, tiny_run, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs the slurm extra")
    launcher = ("hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=30", "hydra.launcher.cpus_per_task=2",
                "hydra.launcher.partition=low", "hydra.launcher.mem_gb=null", "existing=resume")  # fmt: skip
    sweep = ("pretrain", "-m", *tiny_run, *launcher, "trainer=cpu", "name=study")
    finished(started(tmp_path, *sweep, "seed=1,2,3", env=cluster.environment), tmp_path)
    study = tmp_path / "runs" / "study"
    folders = sorted(path.name for path in study.iterdir() if path.is_dir() and path.name != ".submitit")
    assert folders == ["0-seed-1", "1-seed-2", "2-seed-3"]
    for number, name in enumerate(folders):
        summary = json.loads((study / name / "summary.json").read_text())
        assert (summary["seed"], summary["steps"]) == (number + 1, 4)

    # Two jobs that cannot start.
    assert started(tmp_path, *sweep, "trainer.max_steps=0", "seed=5,6", env=cluster.environment).wait(600) == 2
    assert (
        "a job of the sweep failed: its error is in the logs of the launcher" in (tmp_path / "errors.txt").read_text()
    )
