"""A config from a folder may name only parts of this program and code that the user trusts."""

import os
import sys

import pytest
from omegaconf import OmegaConf

from bert_lightning.callbacks.checkpoints import BestCheckpoint
from bert_lightning.cli import conf_folder
from bert_lightning.errors import UserError
from bert_lightning.runs.trust import (
    TRUST_ENV,
    check_files_of_run,
    check_no_interpolations,
    check_targets,
    foreign_targets,
    note_foreign_targets,
    trust_targets_of,
)

OWN = """
import json, shutil
from functools import partial
from shutil import copyfile
from bert_lightning.objectives.pretraining import MaskedLM

class Loss:
    class Inner: ...
    def method(self): ...

def make_loss(): ...
ready = partial(print, 1)
"""


@pytest.fixture(autouse=True)
def nothing_trusted(monkeypatch):
    monkeypatch.delenv(TRUST_ENV, raising=False)


@pytest.fixture
def own_package(tmp_path, monkeypatch):
    """A package of the user's own; a test registers what it trusts of it."""
    folder = tmp_path / "own_package_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("import shutil\n")
    (folder / "losses.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder.name
    for name in [name for name in sys.modules if name.startswith(folder.name)]:
        del sys.modules[name]


def targets_of(node):
    if isinstance(node, dict):
        yield from [node["_target_"]] if "_target_" in node else []
        node = list(node.values())
    for child in node if isinstance(node, list) else ():
        yield from targets_of(child)


def test_every_shipped_yaml_is_trusted_and_no_more_is_listed():
    from bert_lightning.runs import trust

    # console.yaml and hydra/ set up Hydra itself, and are no part of a run's config.
    own = {conf_folder() / "console.yaml", *(conf_folder() / "hydra").rglob("*.yaml")}
    paths = [path for path in conf_folder().rglob("*.yaml") if path not in own]
    files = [OmegaConf.to_container(OmegaConf.load(path)) for path in paths]
    named = {target for file in files for target in targets_of(file)}
    assert len(named) > 50
    for target in named:
        check_targets({"_target_": target}, "a file")
    assert {target for target in named if not target.startswith("bert_lightning.")} == trust._LIBRARIES


# Code of others; code of this program that is not for configs; and names that lead from this program to code of others.
REFUSED = [
    "os.system", "builtins.open", "builtins.exec", "numpy.load", "torch.load", "torch.optim.SGD", "shutil.copyfile",
    "hydra.utils.get_method", "hydra.utils.instantiate", "functools.partial",
    "bert_lightning.text.files.lines.open_bytes",
    "bert_lightning.verbs.demo.run", "bert_lightning.cli.main", "bert_lightning.runs.local_launch.launch_locally",
    "bert_lightning.runs.csv_log.CsvLog", "bert_lightning.data.store.preparation.prepare", "torch.hub.load",
    "bert_lightning.cli.os.system", "bert_lightning.data.store.preparation.shutil.rmtree",
    "bert_lightning.text.corpora.Path",
    "bert_lightning.text.tokenizers.recipes.Tokenizer.from_file",
    "bert_lightning.callbacks.checkpoints.BestCheckpoint.to_yaml",
    "bert_lightning.runs.loggers.TensorBoardWithHparams", "bert_lightning.runs.warm_start.load_pretrained",
    "bert_lightning.data",
    "bert_lightning.metrics.NoSuchMetric", "bert_lightning_of_another.Loss", "no_such_module_anywhere.Loss", "", None,
    3, ["os.system"], {"_target_": "os.system"},
]  # fmt: skip


@pytest.mark.parametrize("target", REFUSED, ids=str)
def test_targets_that_no_folder_may_name(target):
    before = set(sys.modules)
    with pytest.raises(UserError, match=r"^runs/x/config.yaml: a.terms.1._target_=.* is no") as refused:
        check_targets({"a": {"terms": [{}, {"_target_": target}]}}, "runs/x/config.yaml")
    assert "\n" not in str(refused.value)
    is_of_others = isinstance(target, str) and not f"{target}.".startswith("bert_lightning.")
    assert ("If you trust its code" in str(refused.value)) == is_of_others
    foreign = {name.partition(".")[0] for name in set(sys.modules) - before}
    assert not foreign & {"no_such_module_anywhere", "bert_lightning_of_another"}


def test_the_message_names_every_target_to_trust():
    config = {"a": {"_target_": "numpy.load"}, "b": [{"_target_": "my.Loss", "c": {"_target_": "numpy.load"}}]}
    with pytest.raises(UserError) as refused:
        check_targets(OmegaConf.create(config), "runs/x/config.yaml")
    assert str(refused.value) == (
        "runs/x/config.yaml: a._target_=numpy.load is not a part of this program. "
        "If you trust its code, set BERT_LIGHTNING_TRUST=numpy.load,my.Loss"
    )


def test_values_by_position_are_refused_beside_parts_of_this_program(own_package, monkeypatch):
    node = {"_target_": "bert_lightning.runs.loggers.wandb_logger", "_args_": ["/elsewhere", 0]}
    with pytest.raises(
        UserError, match=r"x: a\._args_: bert_lightning\.runs\.loggers\.wandb_logger takes arguments by name only"
    ):
        check_targets({"a": node}, "x")
    monkeypatch.setenv(TRUST_ENV, own_package)
    check_targets({"_target_": f"{own_package}.losses.make_loss", "_args_": [1]}, "x")


@pytest.mark.parametrize(
    ("trusted", "target"),
    [
        ("{}", "{}.losses.Loss"),
        ("other, {}.losses ,", "{}.losses.make_loss"),
        ("{}", "{}.losses.Loss.Inner"),
        ("{}", "{}.losses.MaskedLM"),  # of this program
        ("{}.losses.ready", "{}.losses.ready"),
        ("{}.losses.copyfile", "{}.losses.copyfile"),
        ("numpy", "numpy.load"),
    ],
)
def test_what_the_user_trusts_is_built(trusted, target, own_package, monkeypatch):
    with pytest.raises(UserError, match="is not a part of this program"):
        check_targets({"_target_": target.format(own_package)}, "x")
    assert own_package not in sys.modules
    monkeypatch.setenv(TRUST_ENV, trusted.format(own_package))
    check_targets({"_target_": target.format(own_package)}, "x")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("{}.losses.copyfile", "is not defined in {}"),
        ("{}.losses.json.load", "is not defined in {}"),
        ("{}.shutil.rmtree", "is not defined in {}"),
        ("{}.losses.ready", "is not defined in {}"),
        ("{}.losses.NoSuchLoss", "cannot be imported"),
        ("{}s.losses.Loss", "is not a part of this program"),
    ],
)
def test_trust_covers_what_a_package_defines_not_what_it_imports(target, message, own_package, monkeypatch):
    monkeypatch.setenv(TRUST_ENV, own_package)
    with pytest.raises(UserError, match=message.format(own_package)):
        check_targets({"_target_": target.format(own_package)}, "x")


def test_the_users_own_config_is_trusted_in_its_block_alone(own_package, monkeypatch, capsys):
    config = OmegaConf.create({"a": {"_target_": f"{own_package}.losses.Loss"}, "b": {"_target_": "torch.optim.AdamW"}})
    for before in (None, "other"):
        if before is not None:
            monkeypatch.setenv(TRUST_ENV, before)
        assert foreign_targets(config) == [f"{own_package}.losses.Loss"]
        with trust_targets_of(config):
            assert os.environ[TRUST_ENV] == ",".join(filter(None, (before, f"{own_package}.losses.Loss")))
            check_targets(config, "x")
            assert foreign_targets(config) == []
        assert os.environ.get(TRUST_ENV) == before
    with trust_targets_of(None):
        assert os.environ[TRUST_ENV] == "other"
    note_foreign_targets(config)
    assert capsys.readouterr().err == (
        f"note: {own_package}.losses.Loss: not a part of this program. resume, evaluate and predict build it from this "
        f"run only with BERT_LIGHTNING_TRUST=other,{own_package}.losses.Loss in the environment\n"
    )
    with trust_targets_of(config):
        note_foreign_targets(config)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "x-${seed}", "${new_id:}"])
def test_interpolations_are_refused(value, tmp_path):
    with pytest.raises(UserError, match=r"config.yaml: a\.1\.b=.* is an interpolation"):
        check_no_interpolations(OmegaConf.create({"seed": 0, "a": [1, {"b": value}]}), tmp_path / "config.yaml")


def test_a_run_writes_in_its_folder_alone(tmp_path):
    folder, outside = tmp_path / "run", tmp_path / "outside"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "step-4.ckpt").touch()
    (folder / "checkpoints" / "last.ckpt").symlink_to("step-4.ckpt")
    outside.mkdir()
    (tmp_path / "link").symlink_to(folder)
    check_files_of_run(tmp_path / "link")
    for name, target in (
        ("metrics.csv.partial", tmp_path / "shell-profile"),
        ("tensorboard", outside),
        ("tensorboard/hparams.yaml", tmp_path / "hparams.yaml"),
        (".lock", "../x"),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(target)
        with pytest.raises(UserError, match=rf"{name} is a link to .*, outside of the run"):
            check_files_of_run(folder)
        (folder / name).unlink()
    os.mkfifo(folder / ".lock")
    with pytest.raises(UserError, match=r"\.lock is neither a file nor a folder: delete it"):
        check_files_of_run(folder)


@pytest.mark.parametrize("path", ["{}/../../thesis.tex", "/etc/hosts", "s3://bucket/model", "{}/.."])
def test_a_checkpoint_names_no_file_that_training_deletes(path, tmp_path):
    best = BestCheckpoint("val/loss", "min")
    best.dirpath = str(tmp_path / "checkpoints")
    state = best.state_dict() | {
        "dirpath": path.format(best.dirpath).rpartition("/")[0], "best_model_score": 2.0, "kth_value": 2.0,
        "best_k_models": {path.format(best.dirpath): 2.0},
    }  # fmt: skip
    paths = ("best_model_path", "kth_best_model_path", "last_model_path")
    best.load_state_dict(state | dict.fromkeys(paths, path.format(best.dirpath)))
    mine = f"{best.dirpath}/best.ckpt"
    assert (best.best_model_path, best.kth_best_model_path, best.best_k_models) == (mine, mine, {mine: 2.0})
    assert (best.last_model_path, best.best_model_score) == ("", 2.0)
