"""Where a run happens, as its summary says; and what it tells the user."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

_PACKAGES = ("torch", "lightning", "hydra-core", "torchmetrics", "tokenizers", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of those that can change a result."""
    from bert_lightning import __version__

    found = {"python": platform.python_version(), "bert-lightning": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_commit() -> str | None:
    """Commit of the code that runs, with `+changes` where the checkout differs from it; None outside a checkout."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # A wheel may sit below somebody else's checkout: only a tracked file of ours says that this is our commit.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def processor() -> str:
    """Name of the processor, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@rank_zero_only
def note(text: str) -> None:
    """Say on standard error, once for all ranks, what went another way than asked for."""
    print(f"note: {' '.join(text.split())[:300]}", file=sys.stderr, flush=True)
