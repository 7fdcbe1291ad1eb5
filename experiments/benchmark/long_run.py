"""Measure the memory of a training process when every batch has a new shape: python long_run.py bf16 [batches]

Run it with LRU_CACHE_CAPACITY=16 and ONEDNN_PRIMITIVE_CACHE_CAPACITY=16 in the environment to see the memory of the
compiled products. The model has 2 layers of width 128 and runs on one thread. At the end, the first hundred batches
run again: their shapes are not new.
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

import torch
from batches import batches
from sides import Ours


def main() -> None:
    torch.set_num_threads(1)
    side = Ours((2, 128), sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    steps = [side.prepare(batch) for batch in itertools.islice(batches("sentences", 128, 16), count)]
    started = time.process_time()
    for number, step in enumerate([*steps, *steps[:100]], start=1):
        side.step(step)
        if number % 50 == 0:
            resident = Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]
            print(
                f"{number} steps: {int(resident) / 1e6:.2f} GB, {time.process_time() - started:.1f} s of the processor"
            )
            started = time.process_time()


if __name__ == "__main__":
    main()
