"""Check whether a training step of a config fits into the memory of the device that will train it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bert_lightning.diagnostics.check_result import NOTE, OK, PROBLEM, CheckResult

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from bert_lightning.config.memory import TrainingMemory

# The estimate leaves out heads, logits and dropout masks. Beyond this fraction of the memory, a run is in doubt.
_SURE = 0.7


@dataclass(frozen=True)
class MemoryFacts:
    """The facts that decide whether a training step fits.

    Args:
        step: the estimate for one device.
        program: bytes that the program itself takes in this memory, with all packages imported.
        device: name of the memory, such as `RAM`.
        total: bytes of that memory.
        free: bytes of it that no program uses now; None: unknown.
        batch_size: the config's `batch_size`.
        batch_tokens: the config's `batch_tokens`.
        accumulated: the config's `trainer.accumulate_grad_batches`.
    """

    step: TrainingMemory
    program: int
    device: str
    total: int
    free: int | None
    batch_size: int
    batch_tokens: int | None
    accumulated: int

    @property
    def needed(self) -> int:
        return self.program + self.step.total


def read_memory(config: DictConfig, step: TrainingMemory) -> MemoryFacts:
    """Read the memory of the device that a pretraining config trains on."""
    import torch

    from bert_lightning.config.memory import host_memory
    from bert_lightning.runtime.hardware import peak_memory

    common = (config.batch_size, config.batch_tokens, config.trainer.accumulate_grad_batches)
    if config.trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info(0)
        return MemoryFacts(step, 0, "GPU 0", total, free, *common)
    program = 0 if torch.cuda.is_available() else peak_memory()
    return MemoryFacts(step, program, "RAM", host_memory(), free_memory(Path("/proc/meminfo")), *common)


def memory_result(facts: MemoryFacts) -> CheckResult:
    """Judge whether the step fits, and say which keys to change if it does not."""
    step = facts.step
    free = "" if facts.free is None else f", {_size(facts.free)} of it free"
    program = f", the program {_size(facts.program)}" if facts.program else ""
    text = (
        f"training needs {_size(facts.needed)} or more of {_size(facts.total)} {facts.device}{free}: "
        f"{step.parameters:,} parameters {_size(step.model)}, a batch of about {step.tokens:,} tokens "
        f"{_size(step.batch)}{program}"
    )
    if facts.needed > facts.total:
        return CheckResult(PROBLEM, "memory", text, _smaller(facts))
    if facts.needed > _SURE * facts.total:
        return CheckResult(NOTE, "memory", f"{text}; that is close", _smaller(facts))
    if facts.free is not None and facts.needed > facts.free + facts.program:
        return CheckResult(NOTE, "memory", text, f"end other programs, or {_smaller(facts)}")
    return CheckResult(OK, "memory", text)


def free_memory(path: Path) -> int | None:
    """Return the bytes of memory that programs can still take, from `/proc/meminfo`; None if it does not say."""
    try:
        found = re.search(r"MemAvailable:\s*(\d+) kB", path.read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _smaller(facts: MemoryFacts) -> str:
    """Return which keys make the step fit, with the same examples in each update where that is possible."""
    room = _SURE * facts.total - facts.step.model - facts.program
    parts = 2
    while facts.step.batch > room * parts and parts <= facts.batch_size:
        parts *= 2
    accumulated = f"trainer.accumulate_grad_batches={facts.accumulated * parts}"
    if room <= 0 or parts > facts.batch_size:
        return "a smaller model=..., or trainer=sharded on several devices"
    if facts.batch_tokens is not None:
        return f"batch_tokens={facts.batch_tokens // parts} {accumulated}"
    if facts.batch_size % parts:
        return f"batch_size={facts.batch_size // parts}, or a lower maximal length"
    return f"batch_size={facts.batch_size // parts} {accumulated}, or a lower examples.max_length"


def _size(number: int) -> str:
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.0f} MB"
