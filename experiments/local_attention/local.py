"""Compare two ways to compute local attention, by blocks and by a mask: CPU time of a forward and a backward pass.

    python experiments/local_attention/local.py

One attention layer of width 256 with 4 heads and a window of 128 tokens, 4,096 tokens in sequences of equal length,
float32, dropout 0.1. Both ways alternate in one process, and a ratio is the median over the repetitions. Measured at
4fbead9 on a busy AMD EPYC with one thread: 0.94 at 256 tokens (the model uses a mask there), 1.50 at 512, 2.81 at
1,024.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

import torch

from bert_lightning.model.attention import MultiHeadAttention
from bert_lightning.model.unpadding.layout import Layout, unpadded_layout
from bert_lightning.model.unpadding.local_attention import mask_beyond_window

TURNS, TOKENS, WINDOW = 7, 4096, 128


def seconds(attention: MultiHeadAttention, layout: Layout) -> float:
    """Return the CPU time of one forward and backward pass, in seconds."""
    x = torch.randn(TOKENS, 256, requires_grad=True)
    started = time.process_time()
    attention(x, layout).sum().backward()
    return time.process_time() - started


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    attention = MultiHeadAttention(256, 4, dropout_rate=0.1)
    print("| length | by a mask | by blocks | ratio |\n| --- | --- | --- | --- |")
    for length in (256, 512, 1024, 2048):
        layout = unpadded_layout(torch.ones(TOKENS // length, length, dtype=torch.long))
        (group,) = layout.groups
        dense = replace(layout, groups=(mask_beyond_window(group, layout.positions, layout.positions, WINDOW // 2),))
        blocks = layout.limit_to_window(WINDOW // 2)
        times = [(seconds(attention, dense), seconds(attention, blocks)) for _ in range(TURNS + 1)][1:]
        by_mask, by_blocks = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(a / b for a, b in times)
        print(f"| {length} | {by_mask:.3f} s | {by_blocks:.3f} s | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
