"""Two ranks learn what one process learns at the same global batch."""

import csv
import json

import pytest

from tests.runs.test_kills import finished, started

STEPS = 100
NO_CHANCE = ("model.dropout_rate=0", f"trainer.max_steps={STEPS}", "trainer.val_check_interval=50")
TEACHER = "runs/teacher"
OBJECTIVES = {
    "mlm": (),
    "mlm_nsp": (),
    "mlm_sop": ("examples=sentence_order",),
    "mlm_sbo": ("masking=spans",),
    "rtd": ("masking=electra",),
    "distillation": (f"teacher={TEACHER}",),
}


def losses(run):
    with (run / "metrics.csv").open(newline="") as file:
        return [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]


def validation(run):
    metrics = json.loads((run / "summary.json").read_text())["metrics"]
    return {name: value for name, value in metrics.items() if name.startswith("val/")}


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "accumulated"), [*((objective, 1) for objective in OBJECTIVES), ("mlm_nsp", 2)])
def test_two_ranks_and_one_process_have_the_same_losses(objective, accumulated, command, tiny_run, tmp_path):
    if objective == "distillation":
        assert command("pretrain", *tiny_run, "name=teacher")[0] == 0
    settings = (*tiny_run, *NO_CHANCE, f"objective={objective}", *OBJECTIVES[objective], "trainer.accelerator=cpu")
    share = 8 // accumulated
    one = (f"batch_size={share}", f"trainer.accumulate_grad_batches={accumulated}", "name=one")
    two = (f"batch_size={share // 2}", f"trainer.accumulate_grad_batches={accumulated}", "name=two")
    assert command("pretrain", *settings, *one)[0] == 0
    finished(started(tmp_path, "pretrain", *settings, "trainer=ddp", "trainer.devices=2", *two), tmp_path)
    first, second = tmp_path / "runs" / "one", tmp_path / "runs" / "two"
    ours, theirs = losses(first), losses(second)
    assert len(ours) == len(theirs) == STEPS
    worst = max(abs(a - b) / abs(a) for a, b in zip(ours, theirs, strict=True))
    measured, again = validation(first), validation(second)
    apart = max(abs(measured[name] - again[name]) / max(abs(measured[name]), 1e-9) for name in measured)
    print(f"{objective}, {accumulated} accumulated: {STEPS} losses within {worst:.1e}, validation within {apart:.1e}")
    assert worst < 1e-6
    assert apart < 1e-5
    tokens = [json.loads((run / "summary.json").read_text())["tokens"] for run in (first, second)]
    assert tokens[0] == tokens[1]


@pytest.mark.slow
def test_batches_of_tokens_are_weighed_by_what_each_predicts(command, tiny_run, tmp_path):
    """Two batches make an update, of different numbers of sequences: one after another, or on two ranks."""
    settings = (*tiny_run, *NO_CHANCE, "trainer.accelerator=cpu", "batch_tokens=256")
    assert command("pretrain", *settings, "trainer.accumulate_grad_batches=2", "name=one")[0] == 0
    finished(started(tmp_path, "pretrain", *settings, "trainer=ddp", "trainer.devices=2", "name=two"), tmp_path)
    first, second = tmp_path / "runs" / "one", tmp_path / "runs" / "two"
    ours, theirs = losses(first), losses(second)
    assert len(ours) == len(theirs) == STEPS
    assert max(abs(a - b) / abs(a) for a, b in zip(ours, theirs, strict=True)) < 1e-6
    summaries = [json.loads((run / "summary.json").read_text()) for run in (first, second)]
    assert summaries[0]["tokens"] == summaries[1]["tokens"]
    padding = [summary["throughput"]["padding"] for summary in summaries]
    assert padding[0] == pytest.approx(padding[1])
