"""Check that two runs ended with bit for bit the same state."""

import csv
import json

import torch

# What the machine decides, not the run.
CLOCK = ("tokens_per_second", "seconds", "data_wait", "flops_per_second", "mfu", "peak_memory")


def differences(one, two):
    """Names of what differs between two finished run folders; the clock is left out."""
    found = [f"summary: {key}" for key in _unequal(_summary(one), _summary(two))]
    if (left := _curves(one)) != (right := _curves(two)):
        found.append(f"metrics.csv: {len(left)} and {len(right)} rows, or their values")
    a, b = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (one, two))
    for checkpoint in (a, b):
        states = checkpoint["callbacks"].items()
        checkpoint["callbacks"] = {name: state for name, state in states if name.startswith("EarlyStopping")}
        loops = checkpoint["loops"]["fit_loop"]  # Lightning's count of validation batches starts anew; nothing reads it
        checkpoint["loops"] = {name: state for name, state in loops.items() if ".val_loop." not in name}
    return found + [f"checkpoint: {path}" for path in _unequal(a, b)]


def _summary(run):
    summary = json.loads((run / "summary.json").read_text())
    metrics = {name: value for name, value in summary["metrics"].items() if not name.endswith(CLOCK)}
    return {"metrics": metrics, **{key: summary[key] for key in ("steps", "tokens", "best", "seed")}}


def _curves(run):
    path = run / "metrics.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if not k.endswith(CLOCK)} for row in csv.DictReader(file)]


def _unequal(a, b, path=""):
    """Paths at which two nested values differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        return [
            place
            for key in dict.fromkeys([*a, *b])
            for place in (_unequal(a[key], b[key], f"{path}/{key}") if key in a and key in b else [f"{path}/{key}"])
        ]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        if len(a) != len(b):
            return [path]
        return [place for i, (x, y) in enumerate(zip(a, b, strict=True)) for place in _unequal(x, y, f"{path}/{i}")]
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if a.dtype == b.dtype and torch.equal(a, b) else [path]
    return [] if a == b else [path]
