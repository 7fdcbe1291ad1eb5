"""Checkpoints of any version resume: their keys do not follow the names of classes."""

import pytest
import torch

from bert_lightning.budget import Steps
from bert_lightning.callbacks.budget import BudgetCallback
from bert_lightning.callbacks.checkpoints import BestCheckpoint
from bert_lightning.callbacks.exact_resume import ExactResume
from bert_lightning.callbacks.finite_loss import FiniteLoss
from bert_lightning.callbacks.throughput import Throughput
from bert_lightning.renames import new_state
from tests.runs.compare import differences
from tests.runs.test_resume import EVERY, cut

MONITORED = (
    "{'monitor': 'val/loss', 'mode': 'min', 'every_n_train_steps': 0, 'every_n_epochs': 1, 'train_time_interval': None}"
)


def test_the_state_of_a_callback_is_found_under_its_former_name():
    """Lightning's key is the name of the class. A class that gets another name needs an entry in `renames.TARGETS`."""
    former = ["Exact", "Spending", "FiniteLoss", "Throughput", f"Best{MONITORED}"]
    callbacks = [ExactResume(), BudgetCallback(Steps(1), None), FiniteLoss(), Throughput()]
    callbacks.append(BestCheckpoint("val/loss", "min"))
    assert [new_state(key) for key in former] == [callback.state_key for callback in callbacks]


@pytest.mark.slow
@pytest.mark.parametrize("former", ["PretrainingDataModule", "StreamDataModule"])
def test_an_older_checkpoint_resumes_to_the_same_bits(former, command, tiny_run, tmp_path):
    code, _, errors = command("pretrain", *tiny_run, "name=whole", *EVERY, "trainer.max_steps=4")
    assert code == 0, errors
    whole = tmp_path / "runs" / "whole"
    resumed = cut(whole, 3)
    path = resumed / "checkpoints" / "step-3.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["data"]["position"] > 0
    checkpoint[former] = checkpoint.pop("data")
    states = checkpoint["callbacks"]
    states["Exact"], states["Spending"] = states.pop("ExactResume"), states.pop("BudgetCallback")
    torch.save(checkpoint, path)
    code, _, errors = command("resume", str(resumed))
    assert code == 0, errors
    assert differences(whole, resumed) == []


def test_a_checkpoint_without_a_position_in_the_data_is_refused(command, tiny_run, tmp_path):
    code, _, errors = command("pretrain", *tiny_run, "name=whole", *EVERY, "trainer.max_steps=4")
    assert code == 0, errors
    resumed = cut(tmp_path / "runs" / "whole", 3)
    path = resumed / "checkpoints" / "step-3.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["data"]
    torch.save(checkpoint, path)
    code, _, errors = command("resume", str(resumed))
    assert code != 0
    assert "the checkpoint has no state of the training data" in errors
    assert errors.count("\n") == 1
