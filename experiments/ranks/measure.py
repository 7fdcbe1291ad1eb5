"""Measure the costs of several ranks and of checkpoints: python -m experiments.ranks.measure <folder for runs and data>

Two ranks with one thread each are compared with one process with two threads, at the same global batch size. They
alternate. The time of a short run is subtracted from that of a long run, so that the time to start does not count. On a
busy machine, use the column of CPU time: it is the sum over all processes.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

BOTH = (
    "data=reviews", "examples.max_length=128", "logger=none", "callbacks.progress=null", "callbacks.best=null",
    "callbacks.checkpoints.every_minutes=null", "validation_examples=16",
)  # fmt: skip
SIDES = {
    "one process, two threads": ("trainer=cpu", "batch_size=32"),
    "two ranks, one thread": ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "batch_size=16"),
}
SHORT, LONG, ROUNDS = 5, 45, 3


def seconds(folder: Path, name: str, side: str, steps: int) -> tuple[float, float]:
    """Return the wall time and the CPU time of a run in new processes."""
    threads = "2" if side.startswith("one") else "1"
    command = [sys.executable, "-m", "bert_lightning", "pretrain", "model=mini", *BOTH, *SIDES[side], f"name={name}"]
    command += [f"runs={folder}/runs", f"data.folder={folder}/data/reviews"]
    command += [f"trainer.max_steps={steps}", f"trainer.val_check_interval={steps}"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    threading = {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"}  # waiting threads use no CPU time
    subprocess.run(command, check=True, env={**os.environ, **threading}, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, used


def scaling(folder: Path) -> None:
    """Print one line per setting with the seconds of an update, and then the ratio of both settings."""
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    for number in range(ROUNDS):
        for side in SIDES:
            short = seconds(folder, f"{side[:3]}-short-{number}", side, SHORT)
            long = seconds(folder, f"{side[:3]}-long-{number}", side, LONG)
            wall, processor = ((b - a) / (LONG - SHORT) for a, b in zip(short, long, strict=True))
            found[side].append((wall, processor))
            print(f"{side:26} {wall:.3f} s of an update, {processor:.3f} s of processor time", flush=True)
    one, two = SIDES
    gains = [statistics.median(a[i] / b[i] for a, b in zip(found[one], found[two], strict=True)) for i in (0, 1)]
    print("efficiency of two ranks: {:.2f} by wall time, {:.2f} by processor time".format(*gains))


def checkpoints(folder: Path, size: str) -> None:
    """Print how long one checkpoint stops training, and its size relative to the weights."""
    from unittest import mock

    from bert_lightning import cli
    from bert_lightning.callbacks.checkpoints import Checkpoints

    save, times = Checkpoints._save, []

    def timed(self: Checkpoints, trainer: object) -> bool:
        began = time.monotonic(), time.process_time()
        done = save(self, trainer)  # type: ignore[arg-type]
        times.append((time.monotonic() - began[0], time.process_time() - began[1]))
        return done

    arguments = ["pretrain", *BOTH, f"model={size}", "trainer=cpu", "batch_size=2", f"name=checkpoint-{size}",
                 "trainer.max_steps=6", "trainer.val_check_interval=6", "callbacks.checkpoints.every_steps=1",
                 "callbacks.checkpoints.keep_last=1", f"runs={folder}/runs",
                 f"data.folder={folder}/data/reviews"]  # fmt: skip
    sys.argv = ["bert-lightning", *arguments]
    with mock.patch.object(Checkpoints, "_save", timed), suppress(SystemExit):
        cli.main()
    run = folder / "runs" / f"checkpoint-{size}"
    import torch

    path = (run / "checkpoints" / "last.ckpt").resolve()
    weights = torch.load(path, map_location="meta", weights_only=True)["state_dict"].values()
    model = sum(tensor.numel() * tensor.element_size() for tensor in weights)
    wall, used = (statistics.median(each[i] for each in times) for i in (0, 1))
    whole = path.stat().st_size
    print(f"{size}: a checkpoint stops training for {wall:.2f} s ({used:.2f} s of processor time)")
    print(f"  {whole / 1e6:.0f} MB beside {model / 1e6:.0f} MB of weights: {whole / model:.2f} times")
    path.unlink()


if __name__ == "__main__":
    here = Path(sys.argv[1])
    checkpoints(here, "mini")
    checkpoints(here, "base")
    scaling(here)
