"""Ranks of a run that its folder describes: started on this machine through torch's elastic launcher, or by srun."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from bert_lightning.callbacks.signals import Interrupted
from bert_lightning.errors import UserError
from bert_lightning.runs.ranks import OWN_RUN

_GRACE = 60  # seconds that ranks have to save when the launcher is asked to stop


class RankFailed(Exception):
    """A rank ended with an error. The message is what it printed, once."""


def launch_here(folder: Path, overrides: Sequence[str], ranks: int) -> None:
    """Run `resume folder overrides` in so many processes, and wait for them.

    Raises:
        UserError, Interrupted: what a rank raised.
        RankFailed: a rank failed otherwise, or was killed. The others were ended.
    """
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("torch.distributed.elastic")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they tell is told below, once
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = threads or str(max(1, (os.cpu_count() or 1) // ranks))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=ranks,
        run_id=f"{OWN_RUN}{uuid.uuid4().hex}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(),
        signals_to_handle="SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1,SIGUSR2",
        shutdown_timeout=_GRACE,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "bert_lightning", "resume", str(folder), *overrides)
    except ChildFailedError as error:
        raise _cause(error.failures) from None
    except SignalException as stop:
        raise Interrupted(int(stop.sigval), None, str(folder)) from None
    finally:
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]


def launch_srun(folder: Path, overrides: Sequence[str], ranks: int, nodes: int) -> None:
    """Run `resume folder overrides` as a step of the SLURM job that this process is the batch script of.

    Raises:
        UserError: this is no SLURM job.
        RankFailed: the step failed; its ranks have said why.
    """
    if "SLURM_JOB_ID" not in os.environ:
        raise UserError("trainer=slurm runs inside a job: submit a script that calls this command (sbatch), see README")
    step = ["srun", f"--nodes={nodes}", f"--ntasks={ranks * nodes}", f"--ntasks-per-node={ranks}"]
    command = [sys.executable, "-m", "bert_lightning", "resume", str(folder), *overrides]
    if code := subprocess.run([*step, *command]).returncode:
        raise RankFailed(f"srun ended with code {code}; its ranks have said why")


def _cause(failures: dict[int, ProcessFailure]) -> Exception:
    """The failure that made the others fail: a rank that was killed, else the first."""
    killed = [rank for rank, failure in failures.items() if failure.exitcode == -signal.SIGKILL]
    if killed:
        return RankFailed(f"rank {killed[0]} was killed (SIGKILL): out of memory?")
    rank = min(failures, key=lambda rank: failures[rank].timestamp)
    said: Any = failures[rank].message  # a dict where the rank left its error, else what the launcher thinks
    if not isinstance(said, dict):
        return RankFailed(f"rank {rank} ended with code {failures[rank].exitcode}: {said}")
    kind, _, text = said["message"].partition(": ")
    if kind == UserError.__name__:
        return UserError(text)
    if kind == Interrupted.__name__:
        return Interrupted.said(text)
    return RankFailed(f"rank {rank} failed\n{said['extraInfo']['py_callstack']}")
