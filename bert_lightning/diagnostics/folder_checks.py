"""Check the folders that runs write to: permission, locks, free space, and the shared memory of worker processes."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bert_lightning.diagnostics.check_result import NOTE, OK, PROBLEM, CheckResult

_LITTLE_SPACE = 2 * 10**9  # bytes on a disk that a few runs fill
_SHARED_MEMORY = Path("/dev/shm")
_SHARED_OF_A_WORKER = 128 * 10**6  # bytes; the default of Docker is 64 MB for all


@dataclass(frozen=True)
class FolderFacts:
    """The facts about a folder.

    Args:
        path: the folder. It need not exist.
        existing: the folder itself, or the nearest folder above it that exists.
        free: free bytes on its file system; None: unknown.
        write_error: why no file can be written; empty if one can.
        lock_error: why a file cannot be locked; empty if it can.
    """

    path: Path
    existing: Path
    free: int | None
    write_error: str = ""
    lock_error: str = ""


def read_folder(path: Path) -> FolderFacts:
    """Write and lock a file in a folder, or in the nearest folder above it that exists, and delete the file."""
    existing = path.expanduser().absolute()
    free, write_error, lock_error = None, "", ""
    try:
        while not os.path.lexists(existing):
            existing = existing.parent
        free = shutil.disk_usage(existing).free
        number, name = tempfile.mkstemp(prefix=".bert-lightning-doctor-", dir=existing)
        try:
            lock_error = _lock_error(number)
        finally:
            os.close(number)
            os.unlink(name)
    except OSError as error:
        write_error = error.strerror or str(error)
    return FolderFacts(path, existing, free, write_error, lock_error)


def folder_result(name: str, fix: str, facts: FolderFacts, checkpoint: int = 0) -> CheckResult:
    """Judge a folder.

    Args:
        name: name of the check.
        fix: how to choose another folder.
        facts: what was found.
        checkpoint: bytes of a checkpoint that has to fit, at least.
    """
    where = str(facts.path)
    if facts.existing != facts.path.expanduser().absolute():
        where += f", which will be made in {facts.existing}"
    if facts.write_error:
        return CheckResult(PROBLEM, name, f"{where}: no file can be written: {facts.write_error}", fix)
    if facts.lock_error:
        text = f"{where}: files cannot be locked there ({facts.lock_error}), as on some shared file systems"
        return CheckResult(PROBLEM, name, text, fix)
    if facts.free is None:
        return CheckResult(NOTE, name, f"{where}: the free space is unknown")
    space = f"{where}: files can be written and locked, {facts.free / 1e9:,.1f} GB free"
    if facts.free < checkpoint:
        text = f"{space}, and one checkpoint has {checkpoint / 1e9:,.1f} GB"
        return CheckResult(PROBLEM, name, text, f"delete files, or {fix}")
    if facts.free < _LITTLE_SPACE + 3 * checkpoint:  # `last.ckpt`, `best.ckpt`, and the one that is being written
        return CheckResult(NOTE, name, f"{space}, which is little", f"delete files, or {fix}")
    return CheckResult(OK, name, space)


def temporary_folder_result() -> CheckResult:
    """Check the folder of temporary files."""
    name, fix = "folder tmp", "export TMPDIR=<folder>"
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        return CheckResult(PROBLEM, name, f"no file can be written: {error.strerror}", fix)
    return folder_result(name, fix, read_folder(folder))


def shared_memory_results(workers: int) -> Iterator[CheckResult]:
    """Check the shared memory, if the machine has it. `workers` is the config's `num_workers`."""
    with suppress(FileNotFoundError):
        yield shared_memory_result(shutil.disk_usage(_SHARED_MEMORY).total, workers)


def shared_memory_result(total: int, workers: int) -> CheckResult:
    """Judge the size of the shared memory, through which worker processes of the data loader send batches."""
    users = f"for {workers} workers of the data loader" if workers else "which num_workers=0 does not use"
    text = f"{_SHARED_MEMORY} has {total / 1e9:,.2f} GB, {users}"
    if total < workers * _SHARED_OF_A_WORKER:
        return CheckResult(
            NOTE, "shared memory", f"{text}: they may be killed", "num_workers=0, or docker --shm-size=1g"
        )
    return CheckResult(OK, "shared memory", text)


def _lock_error(number: int) -> str:
    """Lock an open file in the two ways of this program, and return why that fails; empty if it does not."""
    try:
        fcntl.lockf(number, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as the folder of a run
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as a corpus that is being prepared
    except OSError as error:
        return error.strerror or str(error)
    return ""
