"""With trainer=sharded, two ranks learn what one process learns, and resume bit for bit."""

import json

import pytest
import torch

from tests.runs.compare import differences
from tests.runs.test_kills import finished, started
from tests.runs.test_resume import cut
from tests.runs.test_two_ranks import losses, validation

SHARDED = ("trainer=sharded", "trainer.devices=2", "batch_size=4")
SAVING = ("callbacks.checkpoints.every_steps=1", "callbacks.checkpoints.keep_last=99", "trainer.accelerator=cpu")

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "more",
    [
        ("objective=mlm_nsp",),
        ("variant=electra", "optimizer=lamb"),
        ("variant=albert",),
        ("variant=modernbert", "optimizer=muon"),
    ],
)
def test_losses_of_one_process_and_resume_in_two_and_in_one(more, tiny_run, tmp_path):
    settings = ("pretrain", *tiny_run, *SAVING, *more, "trainer.max_steps=12", "trainer.val_check_interval=4")
    finished(started(tmp_path, *settings, "model.dropout_rate=0", "name=one"), tmp_path)
    finished(started(tmp_path, *settings, "model.dropout_rate=0", *SHARDED, "name=two"), tmp_path)
    one, two = tmp_path / "runs" / "one", tmp_path / "runs" / "two"
    ours, theirs = losses(one), losses(two)
    print(f"{more}: {max(abs(a - b) / a for a, b in zip(ours, theirs, strict=True)):.1e}")
    assert theirs == pytest.approx(ours, rel=1e-5)
    assert validation(two) == pytest.approx(validation(one), rel=1e-4)
    whole, again = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (one, two))
    shapes = [{name: tensor.shape for name, tensor in part["state_dict"].items()} for part in (whole, again)]
    assert shapes[0] == shapes[1]  # whole tensors under the same names: whatever reads the one reads the other

    resumed = cut(two, 5)
    finished(started(tmp_path, "resume", str(resumed)), tmp_path)
    assert differences(two, resumed) == []

    alone = cut(two, 6)
    finished(started(tmp_path, "resume", str(alone), "trainer.devices=1", "batch_size=8"), tmp_path)
    assert json.loads((alone / "summary.json").read_text())["ranks"] == 1
    assert losses(alone) == pytest.approx(theirs, rel=1e-5)
