"""Our training step beside transformers': real tokens per second and memory, as ratios. Writes results.json and .md.

    make bench          # every case, processes of their own, two rounds: about 25 minutes on 2 cores
    make bench QUICK=1  # small model only, one round: about 4 minutes

Both sides have the same weights, batches of real text, threads, precision and optimizer settings, and alternate.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from batches import batches
from sides import Ours, Theirs

from bert_lightning.runs.environment import git_commit, processor, versions

HERE = Path(__file__).parent
# size, precision, kind of text, longest sequence, sequences of a batch, ratio to reach
CASES = [
    ("small", "fp32", "sentences", 128, 32, 10.0),
    ("small", "bf16", "sentences", 128, 32, 9.0),
    ("small", "bf16", "full", 128, 32, 4.2),
    ("small", "fp32", "reviews", 128, 32, None),
    ("base", "bf16", "sentences", 128, 32, 3.6),
    ("base", "bf16", "full", 128, 16, 1.55),
    ("base", "bf16", "full", 512, 4, 1.7),
    ("base", "bf16", "reviews", 512, 8, None),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    cases = [case for case in CASES if case[0] == "small"] if options.quick else CASES
    rounds, seconds = (1, 8.0) if options.quick else (2, 12.0)
    torch.set_num_threads(options.threads)
    results = []
    for case in cases:
        print(f"{' '.join(map(str, case[:5]))} ...", end=" ", flush=True)
        results.append(_measure(case, rounds, seconds, options.threads))
        print(f"{results[-1]['ratio']:.2f} x", flush=True)
    report = {
        "command": " ".join(["python", "experiments/benchmark/bench.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "commit": git_commit(),
        "processor": processor(),
        "threads": options.threads,
        "versions": versions(),
        "cases": results,
    }
    name = "quick" if options.quick else "results"
    (HERE / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    table = _table(report)
    (HERE / f"{name}.md").write_text(table, encoding="utf-8")
    print(f"\n{table}\nWritten: {HERE / name}.json and .md")


def _measure(case: tuple[Any, ...], rounds: int, seconds: float, threads: int) -> dict[str, Any]:
    measured: dict[str, list[dict[str, Any]]] = {"theirs": [], "ours": []}
    for _ in range(rounds):
        for side, runs in measured.items():
            runs.append(_in_own_process(side, case, seconds, threads))
    rates = {side: [statistics.median(run["tokens_per_second"]) for run in runs] for side, runs in measured.items()}
    ratios = [ours / theirs for ours, theirs in zip(rates["ours"], rates["theirs"], strict=True)]
    size, precision, kind, length, batch_size, target = case
    return {
        "model": size, "precision": precision, "text": kind, "length": length, "sequences": batch_size,
        "density": measured["ours"][0]["density"],
        "ratio": statistics.median(ratios), "ratios": ratios, "target": target,
        "ratio_in_one_process": _in_one_process(case, seconds),
        "tokens_per_second": {side: statistics.median(values) for side, values in rates.items()},
        "step_bytes": {side: max(run["step_bytes"] for run in runs) for side, runs in measured.items()},
    }  # fmt: skip


def _in_own_process(side: str, case: tuple[Any, ...], seconds: float, threads: int) -> dict[str, Any]:
    command = [sys.executable, HERE / "step.py", side, *case[:5], "--seconds", seconds, "--threads", threads]
    output = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout
    measured: dict[str, Any] = json.loads(output.splitlines()[-1])
    return measured


def _in_one_process(case: tuple[Any, ...], seconds: float) -> float:
    """Median over batches of the time of a step of theirs over that of ours, one after the other."""
    size, precision, kind, length, batch_size = case[:5]
    sides = [Theirs(size, precision), Ours(size, precision)]
    ratios: list[float] = []
    started = time.perf_counter()
    for number, batch in enumerate(batches(kind, length, batch_size)):
        times = []
        for side in sides:
            step = side.prepare(batch)
            begin = time.perf_counter()
            side.step(step)
            times.append(time.perf_counter() - begin)
        if number:  # the first one warms up
            ratios.append(times[0] / times[1])
        if len(ratios) >= 3 and time.perf_counter() - started > seconds:
            return statistics.median(ratios)
    raise AssertionError("the batches do not end")


def _table(report: dict[str, Any]) -> str:
    lines = [
        f"`{report['command']}`, {report['date']}, commit {report['commit']}, {report['processor']}, "
        f"{report['threads']} threads, torch {report['versions']['torch']}.",
        "",
        "| model | precision | text | density | tokens/s theirs | ours | ratio | rounds | in one process | target | "
        "memory of a step |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for case in report["cases"]:
        rates, memory = case["tokens_per_second"], case["step_bytes"]
        lines.append(
            f"| {case['model']} | {case['precision']} | {case['text']}, {case['length']} | {case['density']:.2f} "
            f"| {rates['theirs']:,.0f} | {rates['ours']:,.0f} | **{case['ratio']:.2f} x** "
            f"| {', '.join(f'{ratio:.2f}' for ratio in case['ratios'])} | {case['ratio_in_one_process']:.2f} x "
            f"| {case['target'] or ''} | {memory['ours'] / memory['theirs']:.2f} x |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
