"""Pretraining that goes on from a checkpoint, as a user types it: what is not given comes from the checkpoint."""

import json
import shutil

import pytest
import torch
import yaml

from bert_lightning.runs.pretrained import load_pretrained

OTHER = ("data=sentences", "debug=smoke", "callbacks.progress=null")


@pytest.fixture
def first(command, tiny_run, tmp_path):
    """A run with sizes and a recipe that are no defaults."""
    code, _, errors = command(
        "pretrain", *tiny_run, "variant=roberta", "tokenizer=wordpiece", "model.num_hidden_layers=3", "name=first"
    )  # fmt: skip
    assert code == 0, errors
    return tmp_path / "runs" / "first"


@pytest.fixture
def domain(tmp_path):
    path = tmp_path / "domain.txt"
    path.write_text("\n\n".join(f"the harpooner saw whale {i}\nwhale sank boat {i}" for i in range(40)))
    return (*OTHER, f"data.corpus.path={path}", "data.validation_fraction=0.3")


def test_what_is_not_given_comes_from_the_checkpoint(first, domain, command, tmp_path):
    before = load_pretrained(str(first))
    overrides = ("init_from=runs/first", *domain, "optimizer.lr=0", "vocabulary.extend=3", "name=next")
    code, _, errors = command("pretrain", *overrides)
    assert code == 0, errors
    assert "init_from:" in errors
    assert "variant=roberta" in errors
    assert "model.num_hidden_layers=3" in errors
    assert "the vocabulary gets 3 more words: whale, harpooner, sank" in errors
    run = tmp_path / "runs" / "next"
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["origin"]["choices"]["variant"] == "roberta"
    assert "model.num_hidden_layers=3" in config["origin"]["overrides"]
    after = load_pretrained(str(run))
    assert after.config.vocab_size == before.config.vocab_size + 3
    rows = before.config.vocab_size
    for name, tensor in before.tensors.items():
        assert torch.equal(after.tensors[name][:rows] if len(tensor) == rows else after.tensors[name], tensor), name
    code, _, errors = command("pretrain", *overrides, "existing=resume")
    assert code == 0, errors
    assert json.loads((run / "summary.json").read_text())["steps"] == 4


def test_a_contradiction_is_one_line_before_anything_is_prepared(first, domain, command, tmp_path):
    stores = set((tmp_path / "data").glob("*")) if (tmp_path / "data").exists() else set()
    code, _, errors = command("pretrain", "init_from=runs/first", *domain, "model.hidden_size=64", "name=next")
    assert code == 2
    assert errors.splitlines()[-1].startswith("bert-lightning: error: init_from: the encoder of ")
    assert "has other sizes than this run: add model.hidden_size=" in errors
    assert not (tmp_path / "runs" / "next").exists()
    assert (set((tmp_path / "data").glob("*")) if (tmp_path / "data").exists() else set()) == stores


def test_the_first_validation_measures_the_checkpoint_itself(first_run, tiny_run, command):
    last = json.loads((first_run / "summary.json").read_text())["metrics"]
    code, output, errors = command("pretrain", *tiny_run[:4], "debug=smoke", "callbacks.progress=null",
                                   "init_from=runs/first/checkpoints/last.ckpt", "name=next")  # fmt: skip
    assert code == 0, errors
    found = json.loads((first_run.parent / "next" / "summary.json").read_text())["initial_metrics"]
    assert {name: found[name] for name in last if name.startswith("val/")} == found
    for name in ("val/mlm/loss", "val/nsp/loss", "val/words/bits_per_byte"):
        assert found[name] == pytest.approx(last[name], rel=1e-6), name
        assert f"(before: {found[name]:.4f})" in output


def test_a_run_with_a_longer_vocabulary_resumes_to_the_same_bits_without_its_source(first_run, domain, command):
    overrides = ("init_from=runs/first", *domain, "optimizer.lr=1e-3", "vocabulary.extend=3")
    code, _, errors = command("pretrain", *overrides, "callbacks.checkpoints.every_steps=2", "name=next")
    assert code == 0, errors
    run = first_run.parent / "next"
    expected, summary = load_pretrained(str(run / "checkpoints/last.ckpt")), (run / "summary.json").read_text()
    for path in (run / "summary.json", run / "checkpoints/last.ckpt", run / "checkpoints/step-4.ckpt"):
        path.unlink()
    shutil.rmtree(first_run / "checkpoints")
    code, _, errors = command("resume", "runs/next")
    assert code == 0, errors
    found = load_pretrained(str(run / "checkpoints/last.ckpt"))
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in expected.tensors.items())
    again = json.loads((run / "summary.json").read_text())
    assert again["initial_metrics"] == json.loads(summary)["initial_metrics"]
