"""Metrics are equal on 1, 2 and 3 processes, also for uneven sizes and for ranks without an example."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, sys, time
from pathlib import Path
import numpy as np
import torch.distributed as dist
from bert_lightning.data.labelled.task_types import Example
from bert_lightning.data.batching.sampler import SequentialBatches
from bert_lightning.metrics import *

rank, world, size, init = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
dist.init_process_group("gloo", init_method=f"file://{init}", rank=rank, world_size=world)
rng = np.random.default_rng(0)
tags, texts, labels = ["O", "B-A", "I-A", "B-B"], ["", "the cat", "cat", "a dog", "dog bites cat"], ["n", "y"]
def answers(text):
    return [{"text": text}] if text else []
columns = {
    "classes": ([str(a) for a in rng.choice(labels, size)], [str(a) for a in rng.choice(labels, size)]),
    "numbers": (rng.normal(size=size).tolist(), rng.integers(0, 5, size).astype(float).tolist()),
    "tags": ([rng.choice(tags, 5).tolist() for _ in range(size)], [rng.choice(tags, 5).tolist() for _ in range(size)]),
    "spans": ([str(a) for a in rng.choice(texts, size)], [answers(str(a)) for a in rng.choice(texts, size)]),
}
odds = rng.normal(size=size).tolist()
values = {}
for name, metrics in {
    "classes": [Accuracy(), F1(labels, "y"), MacroF1(labels), Matthews(labels)],
    "numbers": [Correlations()],
    "tags": [EntityF1()],
    "spans": [Squad(unanswerable=True)],
}.items():
    found, right = columns[name]
    for metric in metrics:
        for positions in SequentialBatches(size, 4, rank, world):
            metric.update(
                [{"answer": found[i], "best_answer": found[i], "null_odds": odds[i]} for i in positions],
                [Example("", "", {}, right[i]) for i in positions],
            )
        for key, value in metric.compute().items():
            values[f"{name}/{key}"] = value.item()
        metric.reset()
print(json.dumps(values))
# A rank that leaves cuts the others off from what they still read.
Path(f"{init}-done-{rank}").touch()
while not all(Path(f"{init}-done-{other}").exists() for other in range(world)):
    time.sleep(0.01)
dist.destroy_process_group()
"""


def on_ranks(world, size, folder: Path):
    arguments = [str(world), str(size), str(folder / f"init-{world}-{size}")]
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PROGRAM, str(rank), *arguments], stdout=subprocess.PIPE, text=True
        )
        for rank in range(world)
    ]
    outputs = [rank.communicate(timeout=300)[0] for rank in ranks]
    assert all(rank.returncode == 0 for rank in ranks)
    return [json.loads(output) for output in outputs]


@pytest.mark.slow
@pytest.mark.parametrize("size", [37, 5])  # of 5 examples in batches of 4 the third rank has none
def test_the_values_do_not_depend_on_the_number_of_ranks(size, tmp_path):
    (alone,) = on_ranks(1, size, tmp_path)
    assert len(alone) == 18
    for world in (2, 3):
        for values in on_ranks(world, size, tmp_path):
            assert values == alone  # to the last bit
