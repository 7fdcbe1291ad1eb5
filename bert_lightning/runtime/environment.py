"""Facts about the environment for a run's summary (versions, commit, processor), and notes to the user."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("torch", "lightning", "hydra-core", "torchmetrics", "tokenizers", "numpy")
_RANKS = {
    "RANK",
    "LOCAL_RANK",
    "SLURM_PROCID",
    "JSM_NAMESPACE_RANK",
}  # environment variables that tell Lightning a rank


def versions() -> dict[str, str]:
    """Return the versions of Python, of this package, and of the packages that can change a result."""
    from bert_lightning import __version__

    found = {"python": platform.python_version(), "bert-lightning": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_commit() -> str | None:
    """Return the git commit of this package, with `+changes` if tracked files differ; None outside a checkout."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # The package may be installed inside another project's checkout. The commit is ours if git tracks this file.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def processor() -> str:
    """Return the name of the CPU, as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def note(text: str) -> None:
    """Print a note to the user on standard error, on rank 0 only: the run differs from what was requested."""
    say: Callable[..., None] = print
    if "lightning" in sys.modules or not _RANKS.isdisjoint(os.environ):
        from lightning.pytorch.utilities import rank_zero_only  # imported here, since it takes seconds

        say = rank_zero_only(print)
    say(f"note: {' '.join(text.split())[:300]}", file=sys.stderr, flush=True)
