"""The SLURM job that this process belongs to."""

from __future__ import annotations

import os
from datetime import datetime


def slurm_job_id() -> str | None:
    """Return the id of the SLURM batch job; None outside SLURM and in an interactive SLURM shell."""
    return os.environ.get("SLURM_JOB_ID") if os.environ.get("ENVIRONMENT") == "BATCH" else None


def run_name_suffix() -> str:
    """Return a suffix for the name of a run: the id of its SLURM job, which a requeue keeps, or the current time."""
    number = slurm_job_id()
    return f"job{number}" if number else datetime.now().strftime("%Y%m%d-%H%M%S")
