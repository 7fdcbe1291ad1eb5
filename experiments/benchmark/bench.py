"""Compare our training step with that of transformers: ratios of real tokens per second, and of memory.

    make bench          # everything: about 30 minutes on 2 cores
    make bench QUICK=1  # the small model's steps, one round: about 4 minutes

Both programs have the same weights, batches of real text, threads, precision and optimizer settings. Their steps
alternate. The script writes results.json, results.md and PNGs beside this file, or quick.json and quick.md with
--quick.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from batches import BOOKS, batches
from command import whole_command
from cost import cost
from curves import curves
from report import draw, table
from sides import NOTHING, Ours, Theirs
from switches import ALL, SWITCHES

from bert_lightning.runtime.environment import git_commit, processor, versions

HERE = Path(__file__).parent
PARTS = ["steps", "switches", "command", "curves", "cost", "allocators"]


@dataclass(frozen=True)
class Case:
    work: str  # pretrain, finetune, encode
    model: str
    precision: str
    text: str
    length: int  # most tokens of a sequence
    sequences: int  # number of sequences in a batch
    target: float | None = None  # ratio to reach
    quick: bool = False

    def arguments(self) -> list[str]:
        return [str(value) for value in list(asdict(self).values())[:6]]


CASES = [
    Case("pretrain", "small", "fp32", "sentences", 128, 64, 10.0, quick=True),
    Case("pretrain", "small", "bf16", "sentences", 128, 64, 9.0, quick=True),
    Case("pretrain", "small", "bf16", "full", 128, 32, 4.2, quick=True),
    Case("pretrain", "small", "fp32", "reviews", 128, 32),
    Case("pretrain", "small", "bf16", "paragraphs", 512, 16),
    Case("pretrain", "base", "fp32", "sentences", 128, 8),
    Case("pretrain", "base", "bf16", "sentences", 128, 32, 3.6),
    Case("pretrain", "base", "bf16", "full", 128, 16, 1.55),
    Case("pretrain", "base", "bf16", "full", 512, 4, 1.7),
    Case("finetune", "base", "bf16", "sentences", 128, 32),
    Case("encode", "base", "bf16", "sentences", 128, 32),
]
ALLOCATORS = {
    "default": {},
    "THP_MEM_ALLOC_ENABLE=1": {"THP_MEM_ALLOC_ENABLE": "1"},
    "MALLOC_": {
        "MALLOC_MMAP_THRESHOLD_": "1073741824",
        "MALLOC_TRIM_THRESHOLD_": "1073741824",
        "MALLOC_TOP_PAD_": "67108864",
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--parts", default=",".join(PARTS), help="parts to run, separated by commas; they write a separate table"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parts = ["steps"] if options.quick else options.parts.split(",")
    makers = {
        "steps": lambda: _steps(options),
        "switches": _switches,
        "command": lambda: whole_command(options.threads),
        "curves": lambda: curves(HERE / "curves.png"),
        "cost": lambda: cost(HERE / "cost.png", options.threads),
        "allocators": lambda: _allocators(options.threads),
    }
    report: dict[str, Any] = {
        "call": " ".join(["python", "experiments/benchmark/bench.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "commit": git_commit(),
        "processor": processor(),
        "threads": options.threads,
        "versions": versions(),
        "minutes": {},
    }
    for part in parts:
        started = time.perf_counter()
        report[part] = makers[part]()
        report["minutes"][part] = round((time.perf_counter() - started) / 60, 1)
        _write(report, "quick" if options.quick else "results" if parts == PARTS else "-".join(parts))


def _write(report: dict[str, Any], name: str) -> None:
    """Write the results. This is done after each part, so that no result is lost if a later part fails."""
    (HERE / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (HERE / f"{name}.md").write_text(table(report), encoding="utf-8")
    if "steps" in report:
        draw(report, HERE / f"{name}.png")


def _steps(options: argparse.Namespace) -> list[dict[str, Any]]:
    seconds = 4.0 if options.quick else 6.0
    results = []
    for case in CASES:
        if options.quick and not case.quick:
            continue
        print(f"{' '.join(case.arguments())} ...", end=" ", flush=True)
        if case.text == "paragraphs" and not BOOKS.is_dir():
            print(f"left out: there is no {BOOKS}", flush=True)
            continue
        rounds = 2 if case.target and not options.quick else 1
        results.append(_measure(case, rounds, seconds, options.threads))
        print(f"{results[-1]['ratio']:.2f} x", flush=True)
    return results


def _measure(case: Case, rounds: int, seconds: float, threads: int) -> dict[str, Any]:
    measured: dict[str, list[dict[str, Any]]] = {"theirs": [], "ours": []}
    for _ in range(rounds):
        for side, runs in measured.items():
            runs.append(_in_own_process(side, case, seconds, threads))
    rates = {side: [statistics.median(run["tokens_per_second"]) for run in runs] for side, runs in measured.items()}
    ratios = [ours / theirs for ours, theirs in zip(rates["ours"], rates["theirs"], strict=True)]
    ceiling = max(run["ceiling"] for runs in measured.values() for run in runs)
    flops = measured["ours"][0]["flops_per_token"]
    return {
        **asdict(case),
        "density": measured["ours"][0]["density"],
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "in_one_process": _in_one_process(case, seconds) if case.target else None,
        "tokens_per_second": {side: statistics.median(values) for side, values in rates.items()},
        "spread": {side: _spread([rate for run in runs for rate in run["tokens_per_second"]])
                   for side, runs in measured.items()},
        "step_bytes": {side: max(run["step_bytes"] for run in runs) for side, runs in measured.items()},
        "ceiling": ceiling,
        "mfu": {side: statistics.median(values) * flops / ceiling for side, values in rates.items()}
        if case.work == "pretrain" else None,
    }  # fmt: skip


def _spread(rates: list[float]) -> list[float]:
    """Return the quartiles of the steps' speeds, as fractions of their median."""
    quartiles = statistics.quantiles(rates, n=4, method="inclusive")
    return [quartiles[0] / quartiles[1], quartiles[2] / quartiles[1]]


def _in_own_process(
    side: str, case: Case, seconds: float, threads: int, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "step.py"), side, *case.arguments(), f"--seconds={seconds}"]
    output = subprocess.run(
        [*command, f"--threads={threads}"], capture_output=True, text=True, check=True, env=_environment(environment)
    ).stdout
    measured: dict[str, Any] = json.loads(output.splitlines()[-1])
    return measured


def _environment(changes: dict[str, str] | None) -> dict[str, str]:
    return {**os.environ, **(changes or {})}


def _in_one_process(case: Case, seconds: float) -> float:
    """Return the median over batches of the time of their step divided by the time of our step."""
    sides = [side(case.model, case.precision, case.work) for side in (Theirs, Ours)]
    ratios = [times[0] / times[1] for times in _alternate(sides, case, seconds)]
    return statistics.median(ratios)


def _alternate(sides: list[Any], case: Case, seconds: float) -> list[list[float]]:
    """Return the seconds of a step of each program, for each batch.

    They take turns to be first, because the first product of a new shape is slower.
    """
    measured: list[list[float]] = []
    started = time.perf_counter()
    for number, batch in enumerate(batches(case.text, case.length, case.sequences)):
        times = [0.0] * len(sides)
        for i in sorted(range(len(sides)), reverse=bool(number % 2)):
            step = sides[i].prepare(batch)
            begin = time.perf_counter()
            sides[i].step(step)
            times[i] = time.perf_counter() - begin
        if number:  # the first one warms up
            measured.append(times)
        if len(measured) >= 2 and time.perf_counter() - started > seconds:
            break
    return measured


def _switches() -> dict[str, dict[str, float]]:
    """Return how much slower our step is with one switch off, and with all off, relative to all on."""
    found: dict[str, dict[str, float]] = {}
    for case in CASES[:3]:
        name = f"{case.model} {case.precision} {case.text}"
        found[name] = {}
        for label, off in {**{switch: frozenset({switch}) for switch in SWITCHES}, "all": ALL}.items():
            sides = [Ours(case.model, case.precision, off=switches) for switches in (NOTHING, off)]
            found[name][label] = statistics.geometric_mean(slow / fast for fast, slow in _alternate(sides, case, 4.0))
    return found


def _allocators(threads: int) -> dict[str, dict[str, float]]:
    """Return the tokens per second of each program, in processes that allocate memory in different ways."""
    found: dict[str, dict[str, float]] = {}
    for name, environment in ALLOCATORS.items():
        runs = {side: _in_own_process(side, CASES[1], 6.0, threads, environment) for side in ("theirs", "ours")}
        found[name] = {side: statistics.median(run["tokens_per_second"]) for side, run in runs.items()}
    return found


if __name__ == "__main__":
    main()
