"""Pretraining that goes on from a checkpoint, as a user types it: what is not given comes from the checkpoint."""

import json

import pytest
import torch
import yaml

from bert_lightning.runs.pretrained import load_pretrained

OTHER = ("data=sentences", "debug=smoke", "callbacks.progress=null", "optimizer.lr=0")


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
    code, _, errors = command("pretrain", "init_from=runs/first", *domain, "vocabulary.extend=3", "name=next")
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
    code, _, errors = command("pretrain", "init_from=runs/first", *domain, "vocabulary.extend=3", "name=next",
                              "existing=resume")  # fmt: skip
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
