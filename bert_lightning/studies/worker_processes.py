"""Start the processes that work on a study at the same time, on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import FrameType

import torch

from bert_lightning.runs.ranks import MAIN_SCRIPT
from bert_lightning.runtime.signals import Interrupted

# Environment variable of a worker: the time at which the study was started, and the id of the process that started it.
WORKER_ENV = "BERT_LIGHTNING_STUDY_WORKER"
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_DEVICES = "CUDA_VISIBLE_DEVICES"
_LOOKS_EVERY = 0.5  # seconds between two checks that another process is alive


def run_workers(
    arguments: Sequence[str],
    jobs: int,
    threads: int,
    since: float,
    log: Path | None = None,
    look: Callable[[], None] = lambda: None,
) -> list[int]:
    """Run the command line with these arguments in several processes, and return the exit codes.

    The GPUs of the machine are divided among the processes.

    Args:
        arguments: the arguments of the command line; each process finds in the environment that it is a worker.
        jobs: number of processes.
        threads: number of torch's threads in each process.
        since: the time at which the study was started, in seconds since 1970.
        log: file that gets what the processes print; None: they print to the same place as this process.
        look: function that is called again and again while the processes work.

    Raises:
        Interrupted: if a signal to stop came. It is passed on to the processes, which save their runs.
    """
    environment = {**os.environ, WORKER_ENV: f"{since}:{os.getpid()}", "OMP_NUM_THREADS": str(threads)}
    received: list[int] = []
    processes: list[subprocess.Popen[bytes]] = []

    def forward(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for process in processes:
            process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    try:
        command = [sys.executable, MAIN_SCRIPT, *arguments]
        with nullcontext() if log is None else log.open("ab") as output:
            for devices in device_groups(_visible_devices(), jobs):
                own = environment if devices is None else {**environment, _DEVICES: devices}
                processes.append(
                    subprocess.Popen(command, env=own, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
                )
        while any(process.poll() is None for process in processes):
            look()
            time.sleep(_LOOKS_EVERY)
        codes = [process.wait() for process in processes]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        name = signal.Signals(received[0]).name
        raise Interrupted.from_message(f"stopped by {name}: to continue, run the same command")
    return codes


def start_of_worker() -> float | None:
    """Return the time at which the study of this worker was started; None if this process is not a worker.

    From then on the worker stops, as by SIGTERM, when the process that started it has ended.
    """
    if (given := os.environ.pop(WORKER_ENV, None)) is None:
        return None
    since, _, parent = given.partition(":")

    def watch() -> None:
        while os.getppid() == int(parent):  # the system gives an orphan another parent
            time.sleep(_LOOKS_EVERY)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    return float(since)


def device_groups(devices: Sequence[str], jobs: int) -> list[str | None]:
    """Return the value of CUDA_VISIBLE_DEVICES for each job; None if there are not several GPUs to divide."""
    if len(devices) < 2:
        return [None] * jobs
    each = max(1, len(devices) // jobs)
    starts = [job * each % len(devices) for job in range(jobs)]
    return [",".join(devices[start : start + each]) for start in starts]


def _visible_devices() -> list[str]:
    given = os.environ.get(_DEVICES)
    return list(map(str, range(torch.cuda.device_count()))) if given is None else [d for d in given.split(",") if d]


def threads_of_job(threads: int | None, jobs: int) -> int:
    """Return the number of threads of each job: as given, as the environment says, or a fair part of the cores."""
    if threads is not None:
        return threads
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit():
        return int(given)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // jobs)
