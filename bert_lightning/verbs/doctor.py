"""`bert-lightning doctor`: check this installation, this machine, and whether a planned pretraining fits it.

A check that fails itself is one line, so that the verb works where other verbs do not.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bert_lightning.diagnostics import cluster_checks, device_checks, folder_checks, package_checks
from bert_lightning.diagnostics.check_result import NOTE, OK, PROBLEM, CheckResult, guarded, results_text
from bert_lightning.diagnostics.memory_check import memory_result, read_memory
from bert_lightning.errors import ExpectedError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from bert_lightning.config.memory import TrainingMemory

_CHECKPOINT_BYTES = 12  # of each parameter: its value and two moments of the optimizer, in float32


class ProblemsFound(ExpectedError):
    """The error that a check found a problem. Exit code 1."""


@dataclass(frozen=True)
class PlannedSettings:
    """The settings of the planned pretraining that the checks need. If no config can be composed, its defaults."""

    runs: str = "runs"
    data: str = "data"
    accelerator: str = "auto"
    precision: str = "32-true"
    workers: int = 0
    checkpoint: int = 0  # bytes of a checkpoint, at least

    @classmethod
    def of(cls, config: DictConfig, step: TrainingMemory) -> PlannedSettings:
        """Return the settings of a pretraining config. `step` is the estimate of its memory."""
        return cls(
            config.runs,
            str(Path(config.data.folder).parent),
            str(config.trainer.accelerator),
            str(config.trainer.precision),
            config.num_workers,
            _CHECKPOINT_BYTES * step.parameters,
        )


def run(config: DictConfig) -> None:
    """Print the result of every check for the pretraining that the overrides describe."""
    from bert_lightning.config.composition import composed_pretraining

    planned = composed_pretraining(list(config.overrides))
    step = _memory_of_step(planned)
    memory = guarded("memory", lambda: [memory_result(read_memory(planned, step))])
    _report([*machine_results(PlannedSettings.of(planned, step)), *memory], config.format == "json")


def report_broken_essentials(as_json: bool) -> None:
    """Report the checks that need no config if no config can be composed, because torch or Hydra is broken.

    Raises:
        ProblemsFound: in that case.
    """
    if broken := package_checks.broken_essentials():
        named = {result.check for result in broken}
        others = [result for result in machine_results(PlannedSettings()) if result.check not in named]
        _report([*broken, *others, CheckResult(NOTE, "memory", "cannot be checked without a config")], as_json)


def machine_results(planned: PlannedSettings) -> Iterator[CheckResult]:
    """Check the packages, the processors, the folders, SLURM and the hub, for a planned pretraining."""
    environment = os.environ
    checks: dict[str, Callable[[], Iterable[CheckResult]]] = {
        "packages": package_checks.package_results,
        "extras": package_checks.optional_results,
        "gpu": lambda: device_checks.gpu_results(device_checks.read_gpus(environment), planned.accelerator),
        "cpu": lambda: device_checks.cpu_results(device_checks.read_cpu(environment)),
        "precision": lambda: [_precision_result(planned.precision)],
        "folder runs": lambda: [
            folder_checks.folder_result(
                "folder runs", "runs=<folder>", folder_checks.read_folder(Path(planned.runs)), planned.checkpoint
            )
        ],
        "folder data": lambda: [
            folder_checks.folder_result(
                "folder data", "export BERT_LIGHTNING_DATA=<folder>", folder_checks.read_folder(Path(planned.data))
            )
        ],
        "folder tmp": lambda: [folder_checks.temporary_folder_result()],
        "shared memory": lambda: folder_checks.shared_memory_results(planned.workers),
        "slurm": lambda: [cluster_checks.slurm_result(cluster_checks.read_slurm(environment))],
        "hub": lambda: [cluster_checks.hub_result(environment)],
    }
    for name, results in checks.items():
        yield from guarded(name, results)


def _precision_result(chosen: str) -> CheckResult:
    import torch

    from bert_lightning.runtime.hardware import bf16_speedup, training_precision

    speedup = None if torch.cuda.is_available() else bf16_speedup()
    return device_checks.precision_result(training_precision(), speedup, chosen)


def _memory_of_step(config: DictConfig) -> TrainingMemory:
    """Estimate the memory of a training step of a pretraining config, as `pretrain` does before it trains."""
    from bert_lightning.config.building import build
    from bert_lightning.config.memory import TrainingMemory, pretraining_tokens, value_bytes
    from bert_lightning.runs.ranks import device_count, shard_count

    architecture = build(config.model, vocab_size=config.model.vocab_size or config.tokenizer.get("vocab_size", 1))
    shards = shard_count(config.trainer, device_count(config.trainer))
    return TrainingMemory.estimate(
        architecture, pretraining_tokens(config), value_bytes(config.trainer.precision), shards
    )


def _report(results: Sequence[CheckResult], as_json: bool) -> None:
    """Print the results as a table or as JSON.

    Raises:
        ProblemsFound: if there is a problem.
    """
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=1))
    else:
        states = Counter(result.state for result in results)
        print(results_text(results))
        counts = [(states[OK], "ok"), (states[NOTE], "note"), (states[PROBLEM], "problem")]
        named = [f"{n} {name}{'s' if n > 1 and name != 'ok' else ''}" for n, name in counts if n]
        print(f"\n{', '.join(named)}")
    if problems := [result.check for result in results if result.state == PROBLEM]:
        raise ProblemsFound(f"a run would fail: see {', '.join(problems)}")
