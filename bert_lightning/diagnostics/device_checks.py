"""Check the processors: GPUs and their driver, the cores and threads of the CPU, and the fast precision."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bert_lightning.diagnostics.check_result import NOTE, OK, PROBLEM, CheckResult
from bert_lightning.quoting import shortened
from bert_lightning.runtime.environment import processor

_THREADS_ENV = "OMP_NUM_THREADS"
_GET_TORCH = "install the build of torch for it: https://pytorch.org/get-started/locally"


@dataclass(frozen=True)
class GpuFacts:
    """The facts about GPUs.

    Args:
        build: what torch is built for, such as `CUDA 12.8`; None: the CPU alone.
        driver: version of NVIDIA's driver; None: there is none.
        usable: name, bytes of memory, and compute capability of each GPU that torch can use.
        warning: what torch said when it looked for GPUs.
        visible: the variable CUDA_VISIBLE_DEVICES; None: it is not set.
        metal: whether torch can use the GPU of a Mac.
    """

    build: str | None = None
    driver: str | None = None
    usable: tuple[tuple[str, int, str], ...] = ()
    warning: str = ""
    visible: str | None = None
    metal: bool = False


@dataclass(frozen=True)
class CpuFacts:
    """The facts about the CPU.

    Args:
        name: the processor's name.
        cores: number of logical cores of the machine.
        usable: number of logical cores that this process may use.
        physical: number of physical cores among the usable ones.
        limit: most cores' worth of time that the container allows; None: no limit.
        threads: number of threads that torch computes with.
        threads_variable: the variable OMP_NUM_THREADS; None: it is not set.
    """

    name: str
    cores: int
    usable: int
    physical: int
    limit: float | None
    threads: int
    threads_variable: str | None


def read_gpus(environment: Mapping[str, str]) -> GpuFacts:
    """Look for GPUs with torch, and for NVIDIA's driver without it."""
    import torch

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        properties = [torch.cuda.get_device_properties(number) for number in range(count)]
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else None
    if hip := getattr(torch.version, "hip", None):
        build = f"ROCm {hip}"
    return GpuFacts(
        build,
        _driver(Path("/proc/driver/nvidia/version")),
        tuple((p.name, p.total_memory, f"{p.major}.{p.minor}") for p in properties),
        " ".join(" ".join(str(warning.message).split()) for warning in caught),
        environment.get("CUDA_VISIBLE_DEVICES"),
        torch.backends.mps.is_available(),
    )


def gpu_results(facts: GpuFacts, accelerator: str = "auto") -> Iterator[CheckResult]:
    """Judge the GPUs. `accelerator` is the config's `trainer.accelerator`."""
    for number, (name, memory, capability) in enumerate(facts.usable):
        text = f"{name}, {memory / 1e9:.0f} GB, compute capability {capability}, {facts.build}"
        if facts.warning:
            yield CheckResult(NOTE, f"gpu {number}", f"{text}; torch says: {shortened(facts.warning)}", _GET_TORCH)
        else:
            yield CheckResult(OK, f"gpu {number}", text)
    if facts.usable:
        return
    asked = accelerator in ("gpu", "cuda")
    state = PROBLEM if asked else NOTE
    cpu = "give trainer=cpu" if asked else ""
    if facts.metal:
        yield CheckResult(OK, "gpu", "the GPU of a Mac (mps); we have not run anything on one")
    elif facts.driver and facts.visible is not None and facts.visible.strip() in ("", "-1"):
        hidden = f"CUDA_VISIBLE_DEVICES={facts.visible!r} hides the GPUs"
        yield CheckResult(state, "gpu", hidden, "unset CUDA_VISIBLE_DEVICES")
    elif facts.driver and facts.build is None:
        text = f"NVIDIA's driver {facts.driver} is here, but torch is built for the CPU alone"
        yield CheckResult(state, "gpu", text, _GET_TORCH)
    elif facts.driver:
        said = shortened(facts.warning) or "torch finds no GPU"
        old = "too old" in facts.warning
        text = f"driver {facts.driver}{' is too old for' if old else ', and'} torch's {facts.build}: {said}"
        advice = "update NVIDIA's driver, or install an older CUDA build of torch" if old else "look at nvidia-smi"
        yield CheckResult(state, "gpu", text, advice)
    elif facts.build:
        text = f"none: torch is built for {facts.build}, and this machine has no driver of NVIDIA; the CPU computes"
        yield CheckResult(state if asked else OK, "gpu", text, cpu)
    else:
        text = "none: the CPU computes, and torch is built for it"
        yield CheckResult(state if asked else OK, "gpu", text, cpu)


def read_cpu(environment: Mapping[str, str]) -> CpuFacts:
    """Read the facts about the CPU. Where the system does not tell, all cores count."""
    import torch

    cores = os.cpu_count() or 1
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(cores))
    return CpuFacts(
        processor(), cores, len(allowed), _physical(allowed, Path("/sys/devices/system/cpu")),
        cgroup_cores(Path("/sys/fs/cgroup")), torch.get_num_threads(), environment.get(_THREADS_ENV),
    )  # fmt: skip


def cpu_results(facts: CpuFacts) -> Iterator[CheckResult]:
    """Judge the CPU and the threads of torch."""
    usable = f"{facts.usable} cores" if facts.usable == facts.cores else f"{facts.usable} of {facts.cores} cores"
    limit = "" if facts.limit is None else f", limited to the time of {facts.limit:g}"
    yield CheckResult(OK, "cpu", f"{facts.name}, {usable}{limit}")
    given, threads = facts.threads_variable, facts.threads
    most = facts.usable if facts.limit is None else max(1, min(facts.usable, int(facts.limit)))
    fitting = min(facts.physical, most)
    shown = f"torch computes with {threads} {'thread' if threads == 1 else 'threads'}"
    source = f" ({_THREADS_ENV}={given})" if given else ""
    if given and not re.fullmatch(r"\s*[1-9]\d*(\s*,\s*[1-9]\d*)*\s*", given):
        text = f"{_THREADS_ENV}={given!r} is no number of threads; {shown}"
        yield CheckResult(NOTE, "threads", text, f"export {_THREADS_ENV}={fitting}")
    elif threads > most:
        text = f"{shown} on {most} {'core' if most == 1 else 'cores'}{source}: they wait for each other"
        yield CheckResult(NOTE, "threads", text, f"export {_THREADS_ENV}={fitting}")
    elif threads < fitting:
        advice = f"unset {_THREADS_ENV}" if given else f"export {_THREADS_ENV}={fitting}"
        text = f"{shown} on {fitting} cores{source}"
        yield CheckResult(NOTE, "threads", text, f"{advice}, unless several runs share the cores")
    else:
        yield CheckResult(OK, "threads", f"{shown}{source}")


def precision_result(fast: str, speedup: float | None, chosen: str) -> CheckResult:
    """Judge the precision of the config.

    Args:
        fast: the precision that is fast here, by the rule of `training_precision`.
        speedup: how many times as fast bfloat16 products are on the CPU; None: a GPU computes.
        chosen: the config's `trainer.precision`.
    """
    if speedup is None:
        found = "the GPU computes in bfloat16" if "bf16" in fast else "the GPU has no bfloat16"
    else:
        found = f"products in bfloat16 run at {speedup:.1f} times the speed of float32"
    if ("16" in chosen) == ("16" in fast):
        return CheckResult(OK, "precision", f"{found}; the config has {chosen}")
    gain = "is faster, with 8 bits of precision in products" if "16" in fast else "is not slower, and exact"
    return CheckResult(NOTE, "precision", f"{found}; the config has {chosen}", f"trainer.precision={fast} {gain}")


def cgroup_cores(root: Path) -> float | None:
    """Return how many cores' worth of time the container may use, by cgroups of version 2 or 1; None: no limit."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((root / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        except OSError:
            return None
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # version 2 writes `max` for no limit
        return None
    return cores if cores > 0 else None  # version 1 writes -1 for no limit


def _physical(allowed: set[int], root: Path) -> int:
    """Return the number of physical cores among logical ones. A core without that information counts."""
    siblings = [root / f"cpu{number}" / "topology" / "thread_siblings_list" for number in allowed]
    return len({path.read_text() if path.exists() else str(path) for path in siblings})


def _driver(path: Path) -> str | None:
    """Return the version of NVIDIA's driver; None if there is none."""
    try:
        found = re.search(r"Kernel Module\D*([\d.]+)", path.read_text())
        return found[1] if found else "of unknown version"
    except OSError:
        return "of unknown version" if shutil.which("nvidia-smi") else None
