"""Seeded runs of 20 steps: their losses must stay equal when code is only refactored.

`make golden` writes them anew. Where another machine rounds otherwise, the tolerance absorbs it; a change of data,
initial weights, objective or optimizer does not pass.
"""

import csv
import json
import os
from pathlib import Path

import pytest
import torch

# The numbers of one seed are those of a version: `nn.init.trunc_normal_` of older ones draws other initial weights.
WRITTEN_BY = (2, 13)
pytestmark = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < WRITTEN_BY,
    reason="torch before 2.13 draws other initial weights from the same seed",
)
GOLDEN = Path(__file__).with_name("golden.json")
# The first job's run is the teacher of the student's, which comes after it.
VARIANTS = ["bert", "roberta", "albert", "distilbert", "electra", "spanbert", "modernbert", "cramming"]
TWENTY = ("trainer.max_steps=20", "trainer.val_check_interval=20", "optimizer.lr=1e-3")  # whatever a recipe has


def check_golden(name, run):
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert len(losses) == 20
    golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    if os.environ.get("BERT_LIGHTNING_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(golden | {name: losses}, indent=1) + "\n", encoding="utf-8")
    else:
        assert losses == pytest.approx(golden[name], rel=1e-4)


def test_without_a_second_objective(command, tiny_run, tmp_path):
    code, _, errors = command("pretrain", *tiny_run, *TWENTY, "objective=mlm", "name=golden")
    assert code == 0, errors
    check_golden("bert-mlm", tmp_path / "runs" / "golden")


@pytest.mark.slow
def test_the_family_as_one_command(command, tiny_run, tmp_path):
    small = [override for override in tiny_run if not override.startswith("tokenizer.")]  # a recipe has its own
    code, _, errors = command(
        "pretrain", "-m", *small, *TWENTY, f"variant={','.join(VARIANTS)}", "name=family",
        "teacher=runs/family/0-variant-bert",
    )  # fmt: skip
    assert code == 0, errors
    for number, variant in enumerate(VARIANTS):
        run = tmp_path / "runs" / "family" / f"{number}-variant-{variant}"
        assert json.loads((run / "summary.json").read_text())["best"]["value"] is not None
        check_golden(variant, run)
