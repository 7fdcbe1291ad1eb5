"""Start the ranks of a run as a step of a SLURM job, and have SLURM requeue a job that a signal interrupted."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from bert_lightning.errors import UserError
from bert_lightning.runs.local_launch import RankFailed, rebuild_rank_error
from bert_lightning.runs.ranks import ERRORS_ENV, MAIN_SCRIPT
from bert_lightning.runs.slurm_job import slurm_job_id
from bert_lightning.runtime.environment import note
from bert_lightning.runtime.signals import Interrupted

_WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)  # the usual signals of `sbatch --signal`, sent before the time limit
_PEER_GONE = re.compile("[Cc]onnection (closed|reset)|peer")  # words in the errors of ranks that lost another rank
_UNTIL_ENDED = 300  # seconds to wait: SLURM ends a job soon after it was requeued


def check_inside_slurm_job() -> None:
    """Raise UserError if this process is not inside a SLURM job, in which srun can start a step."""
    if "SLURM_JOB_ID" not in os.environ:
        raise UserError(
            "launch=srun works inside a SLURM job only: run this command in a script, and submit it with sbatch"
        )


def launch_with_srun(folder: Path, overrides: Sequence[str], ranks: int, nodes: int) -> None:
    """Run the command `resume` as a step of this SLURM job, and wait for it.

    Args:
        folder: the run's folder.
        overrides: the overrides for `resume`.
        ranks: number of ranks on each node.
        nodes: number of nodes.

    Raises:
        UserError: if a rank raised it, or this process is not inside a SLURM job.
        Interrupted: if a signal stopped a rank.
        RankFailed: if a rank was killed or failed otherwise. srun has ended the other ranks.
    """
    check_inside_slurm_job()
    errors = folder / ".errors"
    shutil.rmtree(errors, ignore_errors=True)
    errors.mkdir()
    step = ["srun", "--kill-on-bad-exit=1", f"--nodes={nodes}", f"--ntasks={ranks * nodes}"]
    command = [sys.executable, MAIN_SCRIPT, "resume", str(folder), *overrides]
    process = subprocess.Popen(
        [*step, f"--ntasks-per-node={ranks}", *command],
        env={**os.environ, ERRORS_ENV: str(errors.absolute())},
    )
    before = {number: signal.signal(number, _passed_on(process)) for number in (signal.SIGTERM, *_WARNINGS)}
    try:
        code = process.wait()
        if code:
            raise _cause(errors, code)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        shutil.rmtree(errors, ignore_errors=True)


def requeue_if_warned(stop: Interrupted) -> None:
    """Requeue this SLURM job if `stop` warns of the time limit or of a preemption. Then wait until SLURM ends the job.

    A preempted job gets SIGTERM and some time to end. SLURM requeues it only if it has not ended by then.
    """
    number = slurm_job_id()
    asked = stop.number in _WARNINGS or (stop.number == signal.SIGTERM and _preempted(number))
    if number is None or not asked:
        return
    done = subprocess.run(["scontrol", "requeue", number], capture_output=True, text=True)
    if done.returncode:
        note(f"{stop}; SLURM does not requeue job {number}: {done.stderr}")
        return
    note(f"{stop}; SLURM requeues job {number}")
    time.sleep(_UNTIL_ENDED)


def _preempted(number: str | None) -> bool:
    """Return whether SLURM is preempting the job with this id."""
    if number is None:
        return False
    shown = subprocess.run(["scontrol", "show", "job", number], capture_output=True, text=True).stdout
    return bool(re.search(r"\bPreemptTime=\d", shown))


def _passed_on(process: subprocess.Popen[Any]) -> Any:
    """Return a signal handler that sends each signal on to a process."""

    def handler(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    return handler


def _cause(errors: Path, code: int) -> Exception:
    """Return the error of the rank that failed first. A rank that was killed writes none, and makes the others fail.

    Args:
        errors: the folder into which the ranks write their errors.
        code: the exit code of srun.
    """
    files = sorted(errors.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    said = {int(path.stem): json.loads(path.read_text(encoding="utf-8"))["message"] for path in files}
    first = next((rebuild_rank_error(rank, message) for rank, message in said.items()), None)
    if code == 128 + signal.SIGKILL and (first is None or _PEER_GONE.search(str(first))):
        return RankFailed("a rank was killed (SIGKILL), probably because memory ran out: lower batch_size")
    return first or RankFailed(f"srun ended with code {code}")
