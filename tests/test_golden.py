"""Seeded 20-step runs: the losses must not move when the code is only rearranged.

`make golden` writes them anew. Where another machine rounds otherwise, the tolerance absorbs it; a change of data,
initial weights, objective or optimizer does not pass.
"""

import json
import os
from pathlib import Path

import pytest

GOLDEN = Path(__file__).with_name("golden.json")
VARIANTS = {"bert": (), "bert-mlm": ("objective=mlm",)}


@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_of_twenty_steps(variant, command, tiny_run, tmp_path):
    code, _, errors = command(
        "pretrain", *tiny_run, *VARIANTS[variant], "name=golden", "trainer.max_steps=20", "model.dropout_rate=0.1"
    )
    assert code == 0, errors
    from bert_lightning.compare.figures import logged
    from bert_lightning.runs.folder import RunFolder

    _, losses = logged(RunFolder(tmp_path / "runs" / "golden"), "train/loss")
    assert len(losses) == 20
    golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    if os.environ.get("BERT_LIGHTNING_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(golden | {variant: losses}, indent=1) + "\n", encoding="utf-8")
    else:
        assert losses == pytest.approx(golden[variant], rel=1e-4)
