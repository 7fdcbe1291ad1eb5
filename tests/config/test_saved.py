"""Configs that an older version wrote are read with today's names. `before/` has those of four runs at 7743052."""

import shutil
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from bert_lightning.config.saved import saved_config
from bert_lightning.errors import UserError
from bert_lightning.runs.compatibility import check_checkpoint_identity, check_same_run, read_run_config, run_identity
from bert_lightning.runs.run_folder import RunFolder

BEFORE = Path(__file__).parent / "before"
NAMES = sorted(path.stem for path in BEFORE.glob("*.yaml"))


@pytest.fixture
def saved(tmp_path):
    def folder(name):
        shutil.copy(BEFORE / f"{name}.yaml", tmp_path / "config.yaml")
        return RunFolder(tmp_path)

    return folder


def flat(node, path=""):
    """The leaves of a config by dotted key, as every checkpoint of that time stores them."""
    if not isinstance(node, dict) or not node:
        return {path: node}
    return {k: v for name, child in node.items() for k, v in flat(child, f"{path}.{name}".lstrip(".")).items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_config_of_before_passes_every_check(saved, name):
    config = saved_config(saved(name))
    text = OmegaConf.to_yaml(config)
    for old in ("data.blocks", "kind:", "replaced:", "val/replaced", "fast_products:", "lone_prob", "\nstart:", "card"):
        assert old not in text.partition("\norigin:")[0] + text.partition("\nlaunch:")[2], old


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_of_before_is_of_its_run_and_of_no_other(saved, name):
    config = saved_config(saved(name))
    before = yaml.safe_load((BEFORE / f"{name}.yaml").read_text())
    product = next(key for key in run_identity(config) if "*" in key)
    places = ("name", "runs", "job", "data.folder", "existing", "batch_size", "trainer.accumulate_grad_batches")
    theirs = {key: value for key, value in flat(before).items() if key not in places} | {
        product: run_identity(config)[product]
    }
    check_checkpoint_identity(Path("step-1.ckpt"), theirs, config)
    with pytest.raises(UserError, match="belongs to another run: seed is 7 in it and 0 in"):
        check_checkpoint_identity(Path("step-1.ckpt"), theirs | {"seed": 7}, config)


def test_a_config_of_before_is_the_run_that_the_same_command_asks_for(saved):
    folder = saved("electra")
    before = read_run_config(folder)
    before.published.sizes = ["others"]  # a published fact is not what a run trains
    check_same_run(folder, before, read_run_config(folder))
