"""SLURM: ranks as a step of the job that this process is the batch script of, and jobs that start again."""

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

from bert_lightning.callbacks.signals import Interrupted
from bert_lightning.errors import UserError
from bert_lightning.runs.environment import note
from bert_lightning.runs.job import job
from bert_lightning.runs.launch import RankFailed, raised
from bert_lightning.runs.ranks import ERRORS, PROGRAM

_WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)  # what `sbatch --signal` is asked to send before the job's end
_PEER_GONE = re.compile("[Cc]onnection (closed|reset)|peer")  # what the others say of a rank that is no more
_UNTIL_ENDED = 300  # seconds: SLURM ends a job soon after it was requeued


def check_inside_job() -> None:
    """Raises UserError where srun would have no job to make a step of."""
    if "SLURM_JOB_ID" not in os.environ:
        raise UserError("launch=srun runs inside a SLURM job: sbatch a script that calls this command")


def launch_srun(folder: Path, overrides: Sequence[str], ranks: int, nodes: int) -> None:
    """Run `resume folder overrides` as a step of this job, `ranks` on each of its `nodes`, and wait for it.

    Raises:
        UserError, Interrupted: what a rank raised.
        RankFailed: a rank failed otherwise, or was killed. srun ended the others.
    """
    check_inside_job()
    errors = folder / ".errors"
    shutil.rmtree(errors, ignore_errors=True)
    errors.mkdir()
    step = ["srun", "--kill-on-bad-exit=1", f"--nodes={nodes}", f"--ntasks={ranks * nodes}"]
    command = [sys.executable, PROGRAM, "resume", str(folder), *overrides]
    process = subprocess.Popen(
        [*step, f"--ntasks-per-node={ranks}", *command], env={**os.environ, ERRORS: str(errors.absolute())}
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


def requeue_after(stop: Interrupted) -> None:
    """Have SLURM start this job again if the signal was one of its warnings, or a preemption. Then wait to be ended.

    A preempted job gets SIGTERM and some time to end; SLURM starts it again only if it has not ended by then.
    """
    number = job()
    asked = stop.number in _WARNINGS or (stop.number == signal.SIGTERM and _preempted(number))
    if number is None or not asked:
        return
    done = subprocess.run(["scontrol", "requeue", number], capture_output=True, text=True)
    if done.returncode:
        note(f"{stop}; SLURM does not start job {number} again: {done.stderr}")
        return
    note(f"{stop}; SLURM starts job {number} again")
    time.sleep(_UNTIL_ENDED)


def _preempted(number: str | None) -> bool:
    if number is None:
        return False
    shown = subprocess.run(["scontrol", "show", "job", number], capture_output=True, text=True).stdout
    return bool(re.search(r"\bPreemptTime=\d", shown))


def _passed_on(process: subprocess.Popen[Any]) -> Any:
    def handler(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    return handler


def _cause(errors: Path, code: int) -> Exception:
    """What the rank that failed first has left. One that was killed leaves nothing, and makes the others fail."""
    files = sorted(errors.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    said = {int(path.stem): json.loads(path.read_text(encoding="utf-8"))["message"] for path in files}
    first = next((raised(rank, message) for rank, message in said.items()), None)
    if code == 128 + signal.SIGKILL and (first is None or _PEER_GONE.search(str(first))):
        return RankFailed("a rank was killed (SIGKILL): out of memory?")
    return first or RankFailed(f"srun ended with code {code}")
