"""Names of the checkpoint files of a run, apart from the callbacks that write them, which need Lightning."""

from __future__ import annotations

import re
from pathlib import Path

LAST = "last.ckpt"
_STEP = re.compile(r"step-[0-9]+\.ckpt")


def saved_steps(folder: Path) -> list[Path]:
    """Return the files `step-N.ckpt` in a folder, the newest first. Files with other names are ignored."""
    return sorted((p for p in folder.glob("step-*.ckpt") if _STEP.fullmatch(p.name)), key=step_of, reverse=True)


def step_of(path: Path) -> int:
    """Return the number N of the update after which `step-N.ckpt` was written."""
    return int(path.stem.partition("-")[2])
