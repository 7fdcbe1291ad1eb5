"""Measure one encoder on one set of minimal pairs, and keep what was found: measure.py ENCODER RUN TASK [DATA].

It writes `results/<encoder>-<task>.json` beside this file.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import bert_lightning
from bert_lightning.runtime.environment import git_commit, processor

RESULTS = Path(__file__).with_name("results")


def main(encoder: str, run: str, task: str, data: str | None = None) -> None:
    """Evaluate the last checkpoint of a run, and write its accuracies, its cost and where it was measured."""
    overrides = [f"run={run}", "checkpoints=last", f"task={task}"]
    started, cpu = time.monotonic(), time.process_time()
    found = bert_lightning.evaluate(overrides if data is None else [*overrides, f"task.path={data}"])
    cost = {"minutes": (time.monotonic() - started) / 60, "cpu_minutes": (time.process_time() - cpu) / 60}
    summary = bert_lightning.Run(run).summary
    training = {name: summary[name] for name in ("steps", "tokens", "flops", "wall_seconds", "commit")}
    kept = {name: found[name] for name in ("examples", "overall", "phenomena", "paradigms")}
    kept |= {"cost": cost, "processor": processor(), "commit": git_commit(), "training": training}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{encoder}-{task}.json"
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(f"{path}: {found['metrics']['accuracy']:.4f}, {cost['cpu_minutes']:.1f} minutes of CPU")


if __name__ == "__main__":
    main(*sys.argv[1:])
