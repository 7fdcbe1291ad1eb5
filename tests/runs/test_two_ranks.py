"""Two ranks learn what one process learns at the same global batch."""

import csv
import json

import pytest

from tests.runs.test_kills import finished, started

STEPS = 100
NO_CHANCE = ("model.dropout_rate=0", f"trainer.max_steps={STEPS}", "trainer.val_check_interval=50")


def losses(run):
    with (run / "metrics.csv").open(newline="") as file:
        return [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["mlm_nsp", "mlm_sop", "mlm_sbo"])
@pytest.mark.parametrize("accumulated", [1, 2])
def test_two_ranks_and_one_process_have_the_same_losses(objective, accumulated, tiny_run, tmp_path):
    examples = {"mlm_sop": ("examples=sentence_order",), "mlm_sbo": ("masking=spans",)}.get(objective, ())
    settings = (*tiny_run, *NO_CHANCE, f"objective={objective}", *examples, "trainer.accelerator=cpu")
    share = 8 // accumulated
    one = (f"batch_size={share}", f"trainer.accumulate_grad_batches={accumulated}", "name=one")
    two = (f"batch_size={share // 2}", f"trainer.accumulate_grad_batches={accumulated}", "name=two")
    finished(started(tmp_path, "pretrain", *settings, *one), tmp_path)
    finished(started(tmp_path, "pretrain", *settings, "trainer=ddp", "trainer.devices=2", *two), tmp_path)
    ours, theirs = (losses(tmp_path / "runs" / name) for name in ("one", "two"))
    assert len(ours) == len(theirs) == STEPS
    worst = max(abs(a - b) / abs(a) for a, b in zip(ours, theirs, strict=True))
    first, second = (json.loads((tmp_path / "runs" / n / "summary.json").read_text()) for n in ("one", "two"))
    print(f"{objective}, {accumulated} accumulated: largest relative difference of {STEPS} losses {worst:.1e}")
    assert worst < 1e-6
    assert first["tokens"] == second["tokens"]
    validation = {name: value for name, value in first["metrics"].items() if name.startswith("val/")}
    assert validation == pytest.approx({name: second["metrics"][name] for name in validation}, rel=1e-5)
