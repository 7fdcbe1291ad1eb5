"""The SLURM job that this process belongs to."""

from __future__ import annotations

import os
from datetime import datetime


def job() -> str | None:
    """The number of the batch job; None outside one, and in a shell that SLURM gave."""
    return os.environ.get("SLURM_JOB_ID") if os.environ.get("ENVIRONMENT") == "BATCH" else None


def stamp() -> str:
    """What tells a run from others of its name: its job, whose number stays when SLURM starts it again, or the time."""
    number = job()
    return f"job{number}" if number else datetime.now().strftime("%Y%m%d-%H%M%S")
