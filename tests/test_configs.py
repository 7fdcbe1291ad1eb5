"""Every yaml on disk composes, and its parts can be built. A glob finds the files, so a new yaml is tested too."""

from itertools import zip_longest

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from bert_lightning.budget import Budget
from bert_lightning.cli import VERBS, conf_folder
from bert_lightning.config.building import build
from bert_lightning.config.hydra_registry import register
from bert_lightning.config.validation import check_config
from bert_lightning.data.labelled.task_types import TaskType
from bert_lightning.errors import UserError
from bert_lightning.metrics import TaskMetric
from bert_lightning.model import BERT, BertConfig
from bert_lightning.model.heads import Pooler
from bert_lightning.objectives.base import JointObjective
from bert_lightning.optim import parameter_groups
from bert_lightning.tasks.data import joint_objective, source_of, task_metrics

CONF = conf_folder()
OPTIONS = sorted(path.relative_to(CONF).with_suffix("") for path in CONF.glob("*/*.yaml"))
# Which verb has a group; `base` and `bert` files are included by others.
VERB = {"task": "finetune", "finetuning": "finetune"}
INCLUDED = ("budget/base", "data/base", "model/bert", "task/base")  # and task/base_*
NEED_A_TEACHER = {"objective=distillation", "variant=distilbert"}


def rows():
    """Yield the options that are composed together, at most one of each group; a variant sets groups and is alone."""
    groups = {}
    for option in OPTIONS:
        if not str(option).startswith(INCLUDED):
            groups.setdefault(option.parts[0], []).append(f"{option.parts[0]}={option.parts[1]}")
    yield from ([option] for option in groups.pop("variant"))
    for verb in ("pretrain", "finetune"):
        of_verb = [options for group, options in groups.items() if VERB.get(group, "pretrain") == verb]
        yield from ([option for option in row if option] for row in zip_longest(*of_verb))


ROWS = list(rows())


@pytest.fixture(autouse=True)
def hydra_configs():
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def composed(verb, *overrides):
    name = [] if any(o.startswith("name=") for o in overrides) else ["name=test"]
    return compose(verb, [*overrides, *name])


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "resume"])  # it reads a run's config.yaml
def test_every_verb_composes_with_its_defaults(verb):
    config = composed(verb)
    OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    check_config(config)


@pytest.mark.parametrize("row", ROWS, ids=" ".join)
def test_every_option_composes_and_its_targets_take_its_keys(row):
    chosen = dict(option.split("=") for option in row)
    verb = VERB.get(next(iter(chosen)), "pretrain")
    config = composed(verb, *row)
    for node in (config.data.corpus, config.tokenizer) if verb == "pretrain" else ():
        if OmegaConf.is_missing(node, "path"):
            node.path = "x"
    if (budget := chosen.get("budget")) and OmegaConf.is_missing(config.budget, budget):
        config.budget[budget] = 1000
    OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    check_config(config)
    if verb == "finetune":
        assert isinstance(build(config.task.type), TaskType)
        assert isinstance(build(config.optimizer)([torch.nn.Parameter(torch.zeros(2))]), torch.optim.Optimizer)
        assert all(isinstance(metric, TaskMetric) for metric in task_metrics(config.task, ANY_LABEL).values())
        named = {name for metric in task_metrics(config.task, ANY_LABEL).values() for name in metric.values}
        assert config.task.monitor in named
        labels = ["a", "b"] if config.task.term in ("classification", "tagging") else []
        if config.task.objective is not None:
            assert joint_objective(build(config.task.objective), config.task.term, labels, SMALL).terms
        if config.task.path is not None or config.task.hub is not None:
            assert hasattr(source_of(config.task), "read")
    if verb == "pretrain":
        architecture = build(config.model, vocab_size=100)
        assert isinstance(architecture, BertConfig)
        if NEED_A_TEACHER & set(row):
            with pytest.raises(UserError, match="needs a teacher: give teacher="):
                build(config.objective)
        else:
            with torch.device("meta"):
                joint = build(config.objective)(architecture if "model" in chosen else SMALL)
            assert isinstance(joint, JointObjective)
        groups = parameter_groups(torch.nn.Linear(2, 2), config.weight_decay, config.layer_decay)
        assert isinstance(build(config.optimizer)(groups), torch.optim.Optimizer)
        assert isinstance(build(config.budget), Budget)
        assert 0 < build(config.schedule)(0, 1, 100) <= 1
        for node in (config.data.corpus, config.tokenizer, config.examples, config.masking):
            assert callable(build(node)) or iter(build(node))


ANY_LABEL = ["acceptable", "equivalent", "duplicate", "other"]
SMALL = BertConfig(vocab_size=100, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)

# Parameters with 30,522 words and a pooler, as transformers 5.23 instantiates them; tests/test_variants.py has those of
# the other families.
PUBLISHED = {
    "tiny": 4_385_920,
    "mini": 11_170_560,
    "small": 28_763_648,
    "medium": 41_373_184,
    "base": 109_482_240,
    "large": 335_141_888,
}


# An option whose header says this may repeat an inherited value.
ON_PURPOSE = "stated as published, also where they equal the default"
GLOBAL = {"variant": "pretrain", "finetuning": "finetune"}  # groups whose options set keys outside their own group
NOTHING = object()
MAY_REPEAT = [o for o in OPTIONS if o.parts[0] in ("variant", "task", "finetuning", "model")]


def split_option(group, name):
    """What an option sets itself, what the options that it includes set, and the overrides in its defaults."""
    own, included, overrides = OmegaConf.load(CONF / group / f"{name}.yaml"), [], []
    for entry in own.pop("defaults", []):
        if isinstance(entry, str):
            theirs, below, more = split_option(group, entry)
            included, overrides = [*included, *below, theirs], [*overrides, *more]
        else:
            ((key, option),) = entry.items()
            overrides.append(f"{key.removeprefix('override /')}={option}")
    return own, included, overrides


def leaves(node, path=()):
    if isinstance(node, dict) and node:
        for key, child in node.items():
            yield from leaves(child, (*path, key))
    else:
        yield path, node


@pytest.mark.parametrize("option", MAY_REPEAT, ids=str)
def test_no_option_repeats_an_inherited_value(option):
    group, name = option.parts
    own, included, overrides = split_option(group, name)
    below = [composed(GLOBAL[group], f"~{group}", *overrides)] if group in GLOBAL else []
    plain = [OmegaConf.to_container(config) for config in (*below, *included)]
    own, inherited = OmegaConf.to_container(own), OmegaConf.to_container(OmegaConf.merge({}, *plain))
    before = dict(leaves(inherited))
    repeated = {".".join(map(str, path)): value for path, value in leaves(own) if before.get(path, NOTHING) == value}
    header = (CONF / option).with_suffix(".yaml").read_text().partition("\ndefaults:")[0].replace("\n# ", " ")
    assert bool(repeated) == (ON_PURPOSE in header), repeated


def test_a_recipe_decides_over_the_defaults_of_optimizer_and_trainer():
    config = composed("finetune", "finetuning=electra")
    assert (config.optimizer.lr, config.trainer.max_steps, config.epochs) == (1e-4, None, 3)
    assert composed("finetune", "optimizer.lr=1e-3").optimizer.lr == 1e-3


@pytest.mark.parametrize("size", PUBLISHED)
def test_every_size_has_the_published_number_of_parameters(size):
    config = build(composed("pretrain", f"model={size}", "model.vocab_size=30522").model)
    with torch.device("meta"):
        parts = BERT(config), Pooler(config)
    assert sum(p.numel() for part in parts for p in part.parameters()) == PUBLISHED[size]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+model.hiden_size=3"], "model.hiden_size is not a key of .*: did you mean hidden_size?"),
        (["+examples.short_prob=0.1"], "examples.short_prob is not a key of .*SegmentPairs"),
        (["+objective.terms.mlm.weigth=2"], "objective.terms.mlm.weigth .* did you mean weight?"),
        (["+trainer.max_step=2"], "trainer.max_step .* did you mean max_steps?"),
        (["data.corpus._target_=bert_lightning.text.corpora.Nothing"], "cannot be imported"),
    ],
)
def test_keys_that_no_target_takes_are_named(overrides, message):
    with pytest.raises(UserError, match=message):
        check_config(composed("pretrain", *overrides))
