"""Worker processes that make batches: the open files that they need, and the signals that they ignore."""

from __future__ import annotations

import os
import resource
import signal

from bert_lightning.errors import UserError

# Open files of this process, and of each worker: each has two waiting batches of about ten tensors.
_FILES, _FILES_OF_A_WORKER = 64, 32

# Limits of the number of workers: in total, and per core. The larger one applies. More workers only use memory.
_WORKERS, _WORKERS_OF_A_CORE = 64, 4


def allow_open_files(num_workers: int) -> None:
    """Raise this process's limit of open files for `num_workers` workers, because they send tensors as open files.

    If there are not enough open files, a worker repeats its error forever.

    Raises:
        UserError: if the machine cannot run so many workers, or the system does not allow so many open files.
    """
    cores = os.cpu_count() or 1
    if num_workers > (most := max(_WORKERS, _WORKERS_OF_A_CORE * cores)):
        raise UserError(f"num_workers={num_workers} is too many for {cores} cores: use {most} or fewer")
    need = _FILES + _FILES_OF_A_WORKER * num_workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if num_workers == 0 or soft == resource.RLIM_INFINITY or soft >= need:
        return
    if hard != resource.RLIM_INFINITY and hard < need:
        raise UserError(
            f"num_workers={num_workers} needs about {need} open files, and this system allows {hard}: "
            f"raise the limit (ulimit -n {need}), or use num_workers=0"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))


def ignore_terminal_signals(worker: int) -> None:
    """Ignore the signals that a terminal sends to all processes, so that only the training process reacts to them."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
