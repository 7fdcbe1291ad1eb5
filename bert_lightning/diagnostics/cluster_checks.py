"""Check SLURM, and the settings of the Hugging Face hub. Nothing is submitted, and no network is opened."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from bert_lightning.diagnostics.check_result import NOTE, OK, CheckResult
from bert_lightning.runs.slurm_job import slurm_job_id

_SECONDS = 3  # most time for an answer of SLURM
_ON = ("1", "ON", "YES", "TRUE")
_SEE = "docs/clusters.md"


@dataclass(frozen=True)
class SlurmFacts:
    """The facts about SLURM.

    Args:
        sbatch: path of the command `sbatch`; None: there is none.
        job: id of the job that this process is inside; None: it is in none.
        batch: whether the job runs a script, and not a shell.
        requeue: whether SLURM may put the job into the queue again; None: unknown.
        signal: whether the job's script asks for a signal before the time limit; None: unknown.
    """

    sbatch: str | None = None
    job: str | None = None
    batch: bool = False
    requeue: bool | None = None
    signal: bool | None = None


def read_slurm(environment: Mapping[str, str]) -> SlurmFacts:
    """Look for SLURM, and ask it about the job that this process is inside."""
    sbatch, job = shutil.which("sbatch"), environment.get("SLURM_JOB_ID")
    if job is None:
        return SlurmFacts(sbatch)
    shown, script = _output("scontrol", "show", "job", job), _output("scontrol", "write", "batch_script", job, "-")
    requeue = re.search(r"\bRequeue=(\d)", shown or "")
    signal = None if script is None else bool(re.search(r"^#SBATCH.*--signal", script, re.MULTILINE))
    return SlurmFacts(sbatch, job, slurm_job_id() is not None, requeue and requeue[1] != "0", signal)


def slurm_result(facts: SlurmFacts) -> CheckResult:
    """Judge SLURM and the job."""
    if facts.job is None:
        if facts.sbatch is None:
            return CheckResult(OK, "slurm", "none: there is no sbatch, and this is no job")
        return CheckResult(OK, "slurm", f"{facts.sbatch}; this is no job (trainer=slurm is for scripts: {_SEE})")
    inside = f"inside job {facts.job}"
    if not facts.batch:
        text = f"{inside}, which is a shell: a run in it ends with it, and is not put into the queue again"
        return CheckResult(NOTE, "slurm", text, f"submit a script with sbatch: {_SEE}")
    if facts.requeue is False:
        text = f"{inside}, which SLURM does not put into the queue again"
        return CheckResult(NOTE, "slurm", text, "add #SBATCH --requeue to the script")
    if facts.signal is False:
        text = f"{inside}, whose script asks for no signal before the time limit"
        advice = "add #SBATCH --signal=USR1@120 to the script, unless sbatch got it as an option"
        return CheckResult(NOTE, "slurm", text, advice)
    unknown = " (SLURM does not show its script)" if facts.signal is None else ", with a signal before the time limit"
    return CheckResult(OK, "slurm", f"{inside}{unknown}")


def hub_result(environment: Mapping[str, str]) -> CheckResult:
    """Tell whether the hub is used. The network is not tried."""
    cache = environment.get("HF_HOME") or "~/.cache/huggingface"
    if environment.get("HF_HUB_OFFLINE", "").strip().upper() in _ON:
        text = f"HF_HUB_OFFLINE is set: data sets of the hub need local files (data.corpus.path=...); cache {cache}"
    else:
        address = environment.get("HF_ENDPOINT")
        text = f"HF_HUB_OFFLINE is not set{f', HF_ENDPOINT={address}' if address else ''}; not tried; cache {cache}"
    return CheckResult(OK, "hub", text)


def _output(*command: str) -> str | None:
    """Return what a command of SLURM prints; None if it fails or does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
