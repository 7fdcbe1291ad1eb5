"""A loss that is not finite: the run stops with the batch saved, or skips the update."""

import json

import pytest
import torch

from bert_lightning.objectives.base import JointObjective
from tests.runs.compare import differences


@pytest.fixture
def broken_third():
    """The loss of the third training batch is not a number."""
    forward, calls = JointObjective.forward, []

    def patched(self, encoder, batch):
        loss, terms = forward(self, encoder, batch)
        calls.append(self.training)
        return (loss * float("nan") if self.training and sum(calls) == 3 else loss), terms

    with pytest.MonkeyPatch.context() as own:  # its undo leaves what other fixtures patched
        own.setattr(JointObjective, "forward", patched)
        yield own


def test_it_stops_with_the_batch_saved_and_nothing_lost(broken_third, command, tiny_run, tmp_path):
    code, _, errors = command("pretrain", *tiny_run, "name=a")
    assert code == 2
    assert "the loss of update 3 is not finite" in errors
    run = tmp_path / "runs" / "a"
    (batch,) = torch.load(run / "not-finite-step-3-rank-0.pt", weights_only=True)
    assert batch["input_ids"].shape[0] == 8
    assert [path.name for path in run.glob("checkpoints/step-*.ckpt")] == ["step-2.ckpt"]
    broken_third.undo()
    code, _, errors = command("pretrain", *tiny_run, "name=whole")
    assert code == 0, errors
    code, _, errors = command("resume", str(run))
    assert code == 0, errors
    assert differences(tmp_path / "runs" / "whole", run) == []


def test_it_skips_the_update_and_counts(broken_third, command, tiny_run, tmp_path):
    saving = ("callbacks.checkpoints.every_steps=1", "callbacks.checkpoints.keep_last=9")
    code, _, errors = command("pretrain", *tiny_run, "name=a", "callbacks.finite_loss.action=skip", *saving)
    assert code == 0, errors
    second, third, fourth = (
        torch.load(tmp_path / f"runs/a/checkpoints/step-{n}.ckpt", weights_only=True)["state_dict"] for n in (2, 3, 4)
    )
    assert all(torch.equal(second[name], third[name]) for name in second)
    assert not all(torch.equal(third[name], fourth[name]) for name in third)
    summary = json.loads((tmp_path / "runs/a/summary.json").read_text())
    assert summary["metrics"]["train/skipped_updates"] == 1
    assert summary["steps"] == 4
