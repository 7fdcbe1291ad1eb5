"""Derived config values are made in one place, and the parts of a run get a config that nothing can change."""

import ast
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import ReadonlyConfigError

import bert_lightning
from bert_lightning.config.finalize import finalize
from bert_lightning.runs.session import Session
from bert_lightning.verbs import pretrain

PACKAGE = Path(bert_lightning.__file__).parent


def test_interpolations_get_derived_values_and_the_config_is_read_only():
    config = OmegaConf.create({"model": {"size": None}, "metrics": {"classes": "${model.size}"}})
    final = finalize(config, {"model.size": 7})
    assert final.metrics.classes == 7
    assert config.model.size is None
    with pytest.raises(ReadonlyConfigError):
        final.model.size = 8
    assert finalize(final, {"model.size": 8}).model.size == 8


def test_a_run_gets_a_read_only_config_and_builds_corpus_and_objective_once(command, tiny_run, monkeypatch, tmp_path):
    built, configs = [], []
    build, prepared, make = pretrain.build, pretrain.prepared_data, Session.build

    def counted(node, **values):
        built.append(node._get_full_key(None))
        return build(node, **values)

    monkeypatch.setattr(pretrain, "build", counted)
    monkeypatch.setattr(pretrain, "prepared_data", lambda config: (built.append("corpus"), prepared(config))[1])
    monkeypatch.setattr(Session, "build", lambda config, *a: (configs.append(config), make(config, *a))[1])
    assert command("pretrain", *tiny_run, "name=run")[0] == 0
    assert (built.count("corpus"), built.count("objective")) == (1, 1)
    assert [OmegaConf.is_readonly(config) for config in configs] == [True]
    assert OmegaConf.load(tmp_path / "runs" / "run" / "config.yaml") == configs[0]


def writes(path):
    """The lines of a file that assign to a key of a config, or open one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        targets = node.targets if isinstance(node, ast.Assign) else ()
        for target in (one for several in targets for one in getattr(several, "elts", [several])):
            root = target
            while isinstance(root, ast.Attribute | ast.Subscript):
                root = root.value
            if root is not target and isinstance(root, ast.Name) and root.id in ("config", "merged", "trainer", "anew"):
                yield node.lineno
        if isinstance(node, ast.Name) and node.id in ("open_dict", "read_write"):
            yield node.lineno


def test_no_module_that_trains_or_measures_training_writes_into_a_config():
    files = [*PACKAGE.glob("config/*.py"), *PACKAGE.glob("runs/*.py"), PACKAGE / "training.py",
             *(PACKAGE / "verbs" / f"{verb}.py" for verb in ("bench", "pretrain", "finetune", "resume"))]  # fmt: skip
    found = {str(path.relative_to(PACKAGE)) for path in files if any(writes(path))}
    assert found == {"config/composition.py", "config/finetuning_options.py"}  # these compose it
