"""A fine-tuned checkpoint holds registered names of parts, not their Python paths."""

import re
from importlib import import_module
from pkgutil import iter_modules
from typing import get_origin

import pytest
from hydra import initialize_config_dir
from omegaconf import OmegaConf

import bert_lightning.data.labelled as labelled
from bert_lightning.cli import conf_folder
from bert_lightning.config.building import build
from bert_lightning.config.composition import composed
from bert_lightning.config.hydra_registry import register
from bert_lightning.data.labelled.task_types import TaskType
from bert_lightning.data.labelled.words import LabelledWords
from bert_lightning.errors import UserError
from bert_lightning.objectives import contrastive, downstream, similarity
from bert_lightning.objectives.downstream import SequenceObjective, TaskObjective
from bert_lightning.tasks.metadata import built_part, task_metadata
from bert_lightning.tasks.registry import REGISTRY, with_names, with_paths


def classes(module, base):
    members = [part for part in vars(module).values() if get_origin(part) is None]  # dict[str, Any] is none
    return {part for part in members if isinstance(part, type) and issubclass(part, base) and part is not base}


def test_every_task_type_and_objective_is_registered_by_its_own_name():
    modules = [import_module(f"{labelled.__name__}.{found.name}") for found in iter_modules(labelled.__path__)]
    parts = set().union(*(classes(module, TaskType) for module in modules)) | classes(downstream, TaskObjective)
    parts |= classes(similarity, TaskObjective) | classes(contrastive, TaskObjective)
    parts -= {SequenceObjective, LabelledWords}  # base classes
    assert len(parts) >= 13
    assert parts <= set(REGISTRY.values())
    for name, part in REGISTRY.items():
        own = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", part.__name__.removesuffix("_pooling")).lower()
        assert name == own.replace("_l_m", "_lm")


def test_names_stay_what_checkpoints_hold():
    """Once a release has written a name, it is part of the format: names are added here, and never taken away."""
    assert set(REGISTRY) >= {
        "text_classification", "pair_classification", "text_pair_regression", "text_pair_similarity", "tagged_words",
        "questions", "choices", "classification", "regression", "similarity", "token_classification",
        "span_extraction", "multiple_choice", "mean", "first_token", "cosine_error", "in_batch_contrast",
    }  # fmt: skip


NODE = {
    "_partial_": True, "_target_": "bert_lightning.objectives.similarity.Similarity",
    "pooling": {"_target_": "bert_lightning.model.heads.mean_pooling", "_partial_": True},
    "criterion": {"_target_": "bert_lightning.objectives.similarity.CosineError", "highest": 5.0},
    "others": [{"_target_": "my_package.losses.Loss"}],
}  # fmt: skip


@pytest.mark.parametrize("name", ["type", "objective"])
def test_a_name_of_a_newer_version_is_refused_in_a_line_that_says_so(name, tmp_path):
    of_base = {"type": "text_classification, .*, minimal_pairs", "objective": "classification, .*, multiple_choice"}[
        name
    ]
    line = rf"x.ckpt: task.{name}=from_tomorrow is unknown to this version, which has {of_base}: update bert-lightning$"
    with pytest.raises(UserError, match=line):
        built_part(tmp_path / "x.ckpt", {name: {"_target_": "from_tomorrow"}}, name)


@pytest.mark.parametrize("key", ["pooling", "criterion", "others.0"])
def test_a_name_of_a_newer_version_inside_a_part_is_refused_too(key, tmp_path):
    node, inside = with_names(NODE), {"_target_": "from_tomorrow"}
    node |= {"others": [inside]} if key == "others.0" else {key: inside}
    known = "mean, first_token, max, cosine_error, in_batch_contrast"
    line = f"x.ckpt: task.objective.{key}=from_tomorrow is unknown to this version, which has {known}: update"
    with pytest.raises(UserError, match=line):
        built_part(tmp_path / "x.ckpt", {"objective": node}, "objective")


def test_a_part_in_the_place_of_another_is_refused(tmp_path):
    with pytest.raises(
        UserError, match=r"task.type._target_=.*heads.mean_pooling is not a class derived from .*TaskType"
    ):
        built_part(tmp_path, {"type": {"_target_": "mean"}}, "type")


def test_parts_of_others_keep_their_paths():
    named = with_names(NODE)
    targets = [named["_target_"], *(named[key]["_target_"] for key in ("pooling", "criterion"))]
    assert targets == ["similarity", "mean", "cosine_error"]
    assert named["others"] == NODE["others"]
    assert with_paths(named) == NODE
    assert with_paths(NODE) == NODE  # what older versions wrote


@pytest.mark.parametrize("task", ["text_classification", "text_pair", "text_pair_score", "similarity",
                                  "token_classification", "question_answering", "multiple_choice",
                                  "contrastive"])  # fmt: skip
def test_the_metadata_of_every_task_hold_no_path_and_build_the_same(task, tmp_path):
    register()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = composed("finetune", [f"task={task}", "task.path=x.csv", "name=x"]).task
    metadata = task_metadata(config, ["a", "b"])
    assert "bert_lightning" not in str(metadata)
    for name in ("type", "objective"):
        assert with_paths(metadata[name]) == OmegaConf.to_container(config[name], resolve=True)
    assert built_part(tmp_path, metadata, "type") == build(config.type)
    assert callable(built_part(tmp_path, metadata, "objective"))
