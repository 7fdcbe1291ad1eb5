"""Training from Python gives what the command line gives, as plain data, and leaves no trace in the process."""

import json
import os
import random
import re
import shutil
import signal

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import bert_lightning
from bert_lightning import UserError
from bert_lightning.help import conf_folder
from bert_lightning.runs.checkpoint_reading import read_checkpoint

from .conftest import _tiny_settings


@pytest.fixture(scope="module")
def settings(small_corpus, pretrained_once):
    """The overrides of the run that the command line made, with its prepared data."""
    return _tiny_settings(small_corpus, pretrained_once.parent.parent / "data" / "small")


@pytest.fixture(scope="module")
def own_hydra(tmp_path_factory):
    """A program that uses Hydra itself: its state before the call."""
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "theirs.yaml").write_text("colour: green\n", encoding="utf-8")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder), version_base="1.2"):
        yield GlobalHydra.instance()
    GlobalHydra.instance().clear()


@pytest.fixture(scope="module")
def trained(settings, own_hydra, tmp_path_factory):
    """A run from Python, made while a program uses Hydra itself."""
    return bert_lightning.pretrain([*settings, "name=python", f"runs={tmp_path_factory.mktemp('runs')}"])


def test_the_weights_are_those_of_the_command_line(trained, pretrained_once):
    ours, theirs = (read_checkpoint(run / "checkpoints" / "last.ckpt") for run in (trained.folder, pretrained_once))
    assert ours["state_dict"].keys() == theirs["state_dict"].keys()
    assert all(torch.equal(ours["state_dict"][name], value) for name, value in theirs["state_dict"].items())
    configs = [bert_lightning.Run(folder).config for folder in (trained.folder, pretrained_once)]
    assert [config.pop("name") for config in configs] == ["python", "first"]
    for config in configs:
        assert config.pop("origin")["choices"]["variant"] == "bert"
        config.pop("runs")
    assert configs[0] == configs[1]


def test_a_run_is_plain_data(trained, pretrained_once):
    summary = json.loads((pretrained_once / "summary.json").read_text(encoding="utf-8"))
    losses = {name for name in summary["metrics"] if name.endswith("/loss")}
    assert losses
    assert {name: trained.metrics[name] for name in losses} == {name: summary["metrics"][name] for name in losses}
    assert trained.best == summary["best"]
    curve = trained.curves["val/mlm/loss"]
    assert curve[-1][1] == pytest.approx(trained.metrics["val/mlm/loss"])
    assert [step for step, _ in curve] == sorted({step for step, _ in curve})
    assert isinstance(curve[0][0], int)
    assert trained.config["examples"]["max_length"] == trained.load("cpu").max_length
    assert len(trained.load("cpu").fill_mask("the cat [MASK].", top_k=2)["masks"][0]) == 2


def test_a_fine_tuned_run_answers_and_is_measured_as_by_the_command(trained, command, tmp_path, monkeypatch):
    rows = "".join(f"the {'cat' if i % 2 else 'dog'} {i},{i % 2}\n" for i in range(40))
    (tmp_path / "rows.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    tuned = bert_lightning.finetune(
        ["task=text_classification", f"task.path={tmp_path}/rows.csv", f"encoder={trained.folder}", "debug=smoke",
         "batch_size=8", "name=tuned"],
        progress=False,
    )  # fmt: skip
    assert str(tuned.folder) == "runs/tuned"
    assert tuned.config["callbacks"]["progress"] is None
    assert tuned.load("cpu").classify(["the cat", "the dog"])[0]["answer"] in ("0", "1")
    found = bert_lightning.evaluate(["run=runs/tuned"])
    monkeypatch.setattr(GlobalHydra.instance(), "hydra", None)  # the command is not meant for a program that uses Hydra
    assert found == json.loads(command("evaluate", "run=runs/tuned")[1])
    assert bert_lightning.evaluate(["run=[runs/tuned]"]) == [found]


def test_a_program_keeps_its_own_state(settings, own_hydra, tmp_path):
    """Also if the config has options of the user's own, which this call finds."""
    (tmp_path / "mine" / "masking").mkdir(parents=True)
    shutil.copy(conf_folder() / "masking" / "bert.yaml", tmp_path / "mine" / "masking" / "mine.yaml")
    overrides, folder = [*settings, "masking=mine", "launch=none", f"runs={tmp_path}"], tmp_path / "mine"
    before = torch.get_rng_state(), random.getstate(), signal.getsignal(signal.SIGTERM), dict(os.environ)
    run = bert_lightning.pretrain(overrides, config_dir=folder)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), signal.getsignal(signal.SIGTERM), dict(os.environ)) == before[1:]
    assert GlobalHydra.instance() is own_hydra
    assert compose("theirs").colour == "green"
    assert not HydraConfig.initialized()
    assert run.config["origin"]["choices"]["masking"] == "mine"
    assert run.config["origin"]["command"].endswith(f" --config-dir {folder}")
    assert (run.metrics, run.best, run.curves) == ({}, None, {})  # nothing was trained


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["batch_size=-3"], "batch_size=-3 must be 1 or more"),
        (["variant=brt"], "variant=brt: variant has no such option: did you mean bert?"),
        (["seed=1,2"], "seed=1,2 has several values"),
        ("variant=albert", "'variant=albert' is no list of overrides: give a list of texts"),
        ([3], "[3] is no list of overrides: give a list of texts"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(overrides, message, own_hydra):
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        bert_lightning.pretrain(overrides)
    assert GlobalHydra.instance() is own_hydra


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"^config_dir=nowhere is no folder"):
        bert_lightning.pretrain(config_dir="nowhere")
    with pytest.raises(UserError, match=r"is not a run's folder: it has no config\.yaml$"):
        bert_lightning.Run(tmp_path)
