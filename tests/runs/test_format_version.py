"""A checkpoint whose metadata has a newer format version is refused, and the error says so."""

import pytest
import torch

from bert_lightning.modules.base import FORMAT_VERSION


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "run=runs/tuned", "the cat"],
        ["evaluate", "run=runs/tuned"],
        ["export", "run=runs/tuned", "output=exported"],
        ["resume", "runs/half"],
        ["finetune", "task=text_classification", "task.path=runs/x.csv", "encoder=runs/first", "name=new"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_newer_format_is_refused_in_one_line(arguments, runs):
    for path in runs.path.glob("*/checkpoints/*.ckpt"):
        if not path.is_symlink():
            checkpoint = torch.load(path, weights_only=True)
            assert checkpoint["bert_lightning"]["format_version"] == FORMAT_VERSION
            checkpoint["bert_lightning"]["format_version"] += 1
            checkpoint["bert_lightning"]["config"]["unheard_of"] = True
            torch.save(checkpoint, path)
    code, _, errors = runs.command(*arguments)
    lines = [line for line in errors.splitlines() if not line.startswith(("note: ", "# "))]
    assert (code, len(lines)) == (2, 1), errors
    assert ".ckpt has format_version 2, and this program reads up to 1: update bert-lightning" in lines[0]
