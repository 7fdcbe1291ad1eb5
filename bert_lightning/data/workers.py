"""Processes that make batches: what the system must allow them, and which signals they leave alone."""

from __future__ import annotations

import os
import resource
import signal

from bert_lightning.errors import UserError

_FILES, _FILES_OF_A_WORKER = 64, 32  # two batches that wait have about ten tensors each

_WORKERS, _WORKERS_OF_A_CORE = 64, 4  # processes, at most: more of them only take memory


def allow_open_files(num_workers: int) -> None:
    """Raise this process's limit of open files to what `num_workers` need: workers hand tensors over as open files.

    Raises:
        UserError: the machine or the system does not allow as many. A worker without them repeats its error for ever.
    """
    cores = os.cpu_count() or 1
    if num_workers > (most := max(_WORKERS, _WORKERS_OF_A_CORE * cores)):
        raise UserError(f"num_workers={num_workers} is more than {cores} cores can run: {most} is the most")
    need = _FILES + _FILES_OF_A_WORKER * num_workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if num_workers == 0 or soft == resource.RLIM_INFINITY or soft >= need:
        return
    if hard != resource.RLIM_INFINITY and hard < need:
        raise UserError(
            f"num_workers={num_workers} needs about {need} open files, and this system allows {hard}: "
            f"raise it (ulimit -n {need}), or take num_workers=0"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))


def leave_signals(worker: int) -> None:
    """Ignore what a terminal sends to every process of the command: the process that trains decides how to end."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
