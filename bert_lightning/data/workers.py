"""Worker processes that make batches: the open files that they need, and the signals that they ignore."""

from __future__ import annotations

import os
import resource
import signal

from bert_lightning.errors import UserError

# Open files of this process, and of each worker: two batches wait, of about ten tensors each.
_FILES, _FILES_OF_A_WORKER = 64, 32

# The most workers, in all or for each core; the larger number holds. Further workers only take memory.
_WORKERS, _WORKERS_OF_A_CORE = 64, 4


def allow_open_files(num_workers: int) -> None:
    """Raise this process's limit of open files to what `num_workers` need, because they pass tensors as open files.

    Without enough open files, a worker repeats its error forever.

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
    """Ignore the signals that a terminal sends to all processes, so that the training process alone reacts to them."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
