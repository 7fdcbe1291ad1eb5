"""Measure one case of one program in this process. Print the seconds of its steps and their memory as JSON.

python step.py ours pretrain small fp32 sentences 128 64 --seconds 20
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import torch
from batches import batches
from flops import needed
from sides import SIDES, SIZES

from bert_lightning.runtime.hardware import onednn_is_exact, peak_flops, peak_memory


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("work")
    parser.add_argument("size")
    parser.add_argument("precision")
    parser.add_argument("kind")
    parser.add_argument("length", type=int)
    parser.add_argument("batch_size", type=int)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--threads", type=int, default=2)
    case = parser.parse_args()
    torch.set_num_threads(case.threads)

    side = SIDES[case.side](case.size, case.precision, case.work)
    stream = batches(case.kind, case.length, case.batch_size)
    made = [next(stream) for _ in range(8)]
    tokens = [int(batch["attention_mask"].sum()) for batch in made]
    flops = sum(needed(batch, *SIZES[case.size]) for batch in made) / sum(tokens)
    steps = [side.prepare(batch) for batch in made]
    before = _resident()
    side.step(steps[-1])
    rates, started = [], time.perf_counter()
    while len(rates) < 2 or time.perf_counter() - started < case.seconds:
        i = len(rates) % len(steps)
        begin = time.perf_counter()
        side.step(steps[i])
        rates.append(tokens[i] / (time.perf_counter() - begin))
    peak = peak_memory()
    setting = "medium" if onednn_is_exact() else "highest"
    print(json.dumps({
        "tokens_per_second": rates,
        "step_bytes": peak - before,
        "density": sum(tokens) / sum(batch["input_ids"].numel() for batch in made),
        "flops_per_token": flops,
        "ceiling": peak_flops(torch.device("cpu"), case.precision, SIZES[case.size][1], setting),
    }))  # fmt: skip


def _resident() -> int:
    """Return the bytes of this process in memory, and reset the peak that `peak_memory` measures."""
    with open("/proc/self/clear_refs", "w") as file:  # 5 resets the peak
        file.write("5")
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
