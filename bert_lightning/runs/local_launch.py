"""Start the ranks of a run on this machine with torch's elastic launcher. Each rank reads the config in its folder."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from bert_lightning.errors import ExpectedError, Pruned, UserError
from bert_lightning.runs.ranks import LAUNCHER_ENV, MAIN_SCRIPT, OWN_RUN_ID_PREFIX
from bert_lightning.runtime.collectives import AllRanksError
from bert_lightning.runtime.environment import note
from bert_lightning.runtime.signals import Interrupted

_GRACE = 60  # seconds that ranks have to save after the launcher received a signal to stop


class RankFailed(ExpectedError):
    """The error of a run whose rank was killed or raised an unexpected error.

    Args:
        message: the line that the user reads.
        trace: the traceback of the rank's error; empty if there is none.
    """

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.trace = trace


def launch_locally(folder: Path, overrides: Sequence[str], ranks: int, restarts: int) -> None:
    """Run the command `resume` in several processes on this machine, and wait for them.

    If a rank fails, all ranks are ended and started again from the run's newest checkpoint. A mistake of the user or a
    signal to stop ends the run at once, since a restart would only repeat it.

    Args:
        folder: the run's folder.
        overrides: the overrides for `resume`.
        ranks: number of processes.
        restarts: how many times the ranks may start again.

    Raises:
        UserError: if a rank raised it.
        Interrupted: if a signal stopped a rank or the launcher.
        Pruned: if a search ended the run early.
        RankFailed: if a rank was killed or failed otherwise, and no restart is left. The other ranks are ended.
    """
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("torch.distributed.elastic")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # this program reports the same failures, once
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // ranks))
    with _environment({"OMP_NUM_THREADS": threads, LAUNCHER_ENV: str(os.getpid())}):
        for again in range(restarts + 1):
            try:
                return _run(("resume", str(folder), *overrides), ranks)
            except RankFailed as failed:
                if again == restarts:
                    raise
                reason = str(failed).splitlines()[-1]
                note(f"a rank failed, and all ranks start again (restart {again + 1} of {restarts}): {reason}")


def _run(arguments: Sequence[str], ranks: int) -> None:
    """Run `bert-lightning` with these arguments in `ranks` processes, without restarts, and wait for them."""
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=ranks,
        run_id=f"{OWN_RUN_ID_PREFIX}{uuid.uuid4().hex}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,  # torch's launcher would also restart after a mistake of the user
        logs_specs=DefaultLogsSpecs(),
        signals_to_handle="SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1,SIGUSR2",
        shutdown_timeout=_GRACE,
    )
    try:
        elastic_launch(config, sys.executable)(MAIN_SCRIPT, *arguments)
    except ChildFailedError as error:
        raise _cause(error.failures) from None
    except SignalException as stop:
        raise Interrupted(int(stop.sigval), None, arguments[1]) from None


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the processes that the `with` block starts, and restore the former values."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _cause(failures: dict[int, ProcessFailure]) -> Exception:
    """Return the error of the rank that made the others fail: the killed rank, or else the first that failed."""
    killed = [rank for rank, failure in failures.items() if failure.exitcode == -signal.SIGKILL]
    if killed:
        return RankFailed(f"rank {killed[0]} was killed (SIGKILL), probably because memory ran out: lower batch_size")
    rank = min(failures, key=lambda rank: failures[rank].timestamp)
    said: Any = failures[rank].message  # a dict if the rank wrote its error, else a text of torch's launcher
    if not isinstance(said, dict):
        return RankFailed(f"rank {rank} ended with code {failures[rank].exitcode}: {said}")
    return rebuild_rank_error(rank, said)


def rebuild_rank_error(rank: int, said: dict[str, Any]) -> Exception:
    """Rebuild the error that a rank raised from the dict that torch's error handler wrote."""
    kind, _, text = said["message"].partition(": ")
    if kind in (UserError.__name__, AllRanksError.__name__):
        return UserError(text)
    if kind in (Interrupted.__name__, Pruned.__name__):
        return (Interrupted if kind == Interrupted.__name__ else Pruned).from_message(text)
    return RankFailed(f"rank {rank}: unexpected {said['message']}", said["extraInfo"]["py_callstack"])
