"""A run of an older version with old names of terms, classes and options resumes bit for bit."""

import json

import torch

from tests.runs.compare import differences
from tests.runs.test_resume import cut, trained

# What is written today -> what an older version wrote for the same.
OLDER = {
    "replaced_token_detection.ReplacedTokenDetection": "replaced.ReplacedTokens",
    "objectives.replaced_token_detection": "objectives.replaced",
    "rtd": "replaced",
}


def older(text):
    for today, before in OLDER.items():
        text = text.replace(today, before)
    return text


def older_names(value):
    if isinstance(value, dict):
        return {older(key) if isinstance(key, str) else key: older_names(child) for key, child in value.items()}
    if isinstance(value, list):
        return [older_names(child) for child in value]
    return older(value) if isinstance(value, str) else value


def test_a_run_of_replaced_tokens_from_before_they_were_called_rtd(command, tiny_run, tmp_path):
    trained(command, tiny_run, "whole", "objective=rtd", "masking=electra", "examples=full_sentences",
            "trainer.max_steps=4")  # fmt: skip
    copy = cut(tmp_path / "runs/whole", 3)
    for path in [copy / "config.yaml", copy / "metrics.csv"]:
        path.write_text(older(path.read_text()))
    for path in copy.glob("checkpoints/step-*.ckpt"):
        checkpoint = older_names(torch.load(path, weights_only=True))
        del checkpoint["bert_lightning"]["heads"]
        assert "objective.terms.replaced.head.classifier.weight" in checkpoint["state_dict"]
        torch.save(checkpoint, path)
    code, _, errors = command("resume", str(copy))
    assert code == 0, errors
    found = differences(tmp_path / "runs/whole", copy)
    assert [name for name in found if not name.startswith(("summary: /metrics", "metrics.csv"))] == []
    metrics = json.loads((copy / "summary.json").read_text())["metrics"]
    whole = json.loads((tmp_path / "runs/whole/summary.json").read_text())["metrics"]
    assert metrics["val/rtd/loss"] == whole["val/rtd/loss"]
    assert metrics.keys() == whole.keys()  # of each metric today's name alone


def test_a_lamb_run_from_before_it_updated_each_matrix_resumes_with_one_note(command, tiny_run, tmp_path):
    trained(command, tiny_run, "whole", "optimizer=lamb")
    copy = cut(tmp_path / "runs/whole", 2)
    for path in copy.glob("checkpoints/step-*.ckpt"):
        checkpoint = torch.load(path, weights_only=True)
        for group in checkpoint["optimizer_states"][0]["param_groups"]:
            del group["stacked"]
        torch.save(checkpoint, path)
    code, _, errors = command("resume", str(copy))
    assert code == 0, errors
    line = "note: the checkpoint is of a version whose Lamb updated queries, keys and values as one matrix"
    assert errors.count(line) == 1, errors
    code, _, errors = command("resume", str(cut(tmp_path / "runs/whole", 1)))
    assert (code, line in errors) == (0, False), errors
