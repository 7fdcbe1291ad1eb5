"""Old names of keys, options and targets: a user is told the new name, and older files are translated."""

import importlib

import pytest

from bert_lightning.renames import GROUPS, KEYS, OPTIONS, TARGETS, TERMS, new_key, new_target, renamed, translated
from bert_lightning.runs.trust import _problem
from tests.conftest import REPOSITORY

CONF = REPOSITORY / "conf"

# Every target of this program that a yaml named before the modules moved (commit 7743052).
BEFORE = [
    f"bert_lightning.{module}.{name}"
    for module, names in {
        "budget": "Minutes Operations Steps Tokens",
        "callbacks.checkpoints": "Best Checkpoints",
        "callbacks.fast_products": "FastProducts",
        "callbacks.finite_loss": "FiniteLoss",
        "callbacks.progress": "Progress",
        "callbacks.throughput": "Throughput",
        "data.blocks": "DocumentSentences FullSentences SingleSentences",
        "data.labelled.choices": "Choices",
        "data.labelled.conll": "read_columns",
        "data.labelled.questions": "Questions",
        "data.labelled.rows": "read_table",
        "data.labelled.sources": "Files Hub",
        "data.labelled.squad": "read_squad",
        "data.labelled.texts": "Classified ClassifiedPair EmbeddedPair ScoredPair",
        "data.labelled.words": "TaggedWords",
        "data.masking": "NgramMasking RateSchedule SpanMasking TokenMasking WholeWordMasking",
        "data.packing": "Packed",
        "data.pairs": "SegmentPairs SentenceOrder",
        "data.phases": "Phases",
        "metrics": "Accuracy Correlations EntityF1 F1 MacroF1 Matthews Perplexity Squad",
        "model": "BertConfig",
        "model.heads": "mean_pooling",
        "objectives.base": "JointObjective",
        "objectives.distillation": "HiddenDirection SoftTargets",
        "objectives.downstream": "Classification CosineError InBatchContrast MultipleChoice Regression "
        "Similarity SpanExtraction Tagging",
        "objectives.pretraining": "MaskedLM NextSentence SentenceOrder",
        "objectives.replaced": "Generator ReplacedTokens",
        "objectives.spans": "SpanBoundary",
        "optim": "Cosine Lamb Linear Muon Polynomial WarmupStableDecay bert_adamw",
        "runs.loggers": "csv tensorboard wandb",
        "runs.start": "teacher",
        "text.corpora": "Mixture Rows SentenceLines TextFiles",
        "text.hub": "HubDataset",
        "text.tokenizers": "LoadTokenizer TrainWordPiece",
        "text.training": "TrainByteLevelBPE TrainUnigram",
    }.items()
    for name in names.split()
]


@pytest.mark.parametrize("target", BEFORE)
def test_a_target_that_a_yaml_named_before_is_a_part_of_this_program_today(target):
    assert _problem(new_target(target)) is None


@pytest.mark.parametrize("old", TARGETS)
def test_an_old_target_names_nothing_today_and_stays_inside_this_program(old):
    module, _, name = old.rpartition(".")
    try:
        found = hasattr(importlib.import_module(module), name)
    except ImportError:
        found = False
    assert not found
    assert new_target(old).startswith("bert_lightning.")
    assert new_target(new_target(old)) == new_target(old)


def test_no_name_of_today_is_an_old_one():
    for group, options in OPTIONS.items():
        today = {path.stem for path in (CONF / group).glob("*.yaml")}
        assert not options.keys() & today
        assert set(options.values()) <= today
    assert not any((CONF / group).exists() for group in GROUPS)
    targets = [line.split()[-1] for path in CONF.rglob("*.yaml") for line in path.read_text().splitlines()
               if line.strip().startswith("_target_:")]  # fmt: skip
    assert len(targets) > 100
    assert [target for target in targets if new_target(target) != target] == []


@pytest.mark.parametrize("prefix", ["bert_lightning.data.blocksy.X", "data.blocks.X", "torch.optim.AdamW", "os.system"])
def test_only_whole_names_are_translated(prefix):
    assert new_target(prefix) == prefix


def test_keys_targets_and_lists_of_a_config_are_translated():
    blocks = {"_target_": "bert_lightning.data.blocks.FullSentences", "start": 3}
    before = {
        "start": "runs/x",
        "published": {"recipe": "electra", "sizes": ["half"]},
        "examples": {"_target_": "bert_lightning.data.phases.Phases", "phases": [blocks, None]},
        "origin": {"overrides": ["recipe=bert"], "start": "typed"},
        "schedule": {"start": 0.0},
        7: {"start": 1},
    }
    after = translated(before)
    assert list(after) == ["init_from", "published", "examples", "origin", "schedule", 7]
    assert after["published"] == {"finetuning": "electra", "sizes": ["half"]}
    assert after["examples"]["phases"] == [
        {"_target_": "bert_lightning.data.pretraining.blocks.FullSentences", "start": 3},
        None,
    ]
    assert (after["origin"], after["schedule"], after[7]) == (before["origin"], {"start": 0.0}, {"start": 1})
    assert translated(after) == after
    assert translated({"published.recipe": None, "start": 1}) == {"published.finetuning": None, "init_from": 1}


def test_a_part_that_holds_itself_is_not_followed_forever():
    loop = {}
    loop["start"] = loop
    assert "init_from" in translated(loop)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("recipe=bert", "recipe=bert is now finetuning=bert"),
        ("recipe=of_encoder", "recipe=of_encoder is now finetuning=from_encoder"),
        ("start=runs/x", "start=runs/x is now init_from=runs/x"),
        ("~start", "start is now init_from"),
        ("masking=bert,falling", "masking=bert,falling is now masking=bert,decreasing"),
        ("model=half", "model=half is now model=distilbert-base"),
        ("model=deep", "model=deep is now model=cramming-base"),
        ("objective=replaced", "objective=replaced is now objective=rtd"),
        ("objective.terms.replaced.weight=3", "objective.terms.replaced.weight=3 is now objective.terms.rtd.weight=3"),
        ("examples.builder.lone_prob=0", "examples.builder.lone_prob=0 is now examples.builder.single_sentence_prob=0"),
        ("task.kind.names.0=bad", "task.kind.names.0=bad is now task.type.names.0=bad"),
        ("schedule.start=0.1", None),
        ("model=base", None),
        ("seed=half", None),
    ],
)
def test_a_user_is_told_the_new_name(given, sentence):
    assert renamed(given) == sentence


@pytest.mark.parametrize(
    "arguments",
    [
        ("finetune", "recipe=bert"),
        ("pretrain", "start=runs/x"),
        ("pretrain", "+start=runs/x"),
        ("pretrain", "~start"),
        ("pretrain", "masking=falling"),
        ("models", "model=half"),
        ("diff", "model=deep"),
        ("pretrain", "examples._target_=bert_lightning.data.blocks.FullSentences"),
        ("pretrain", "--config-dir=.", "--config-name=key"),
        ("pretrain", "--config-dir=.", "--config-name=option"),
        ("pretrain", "--config-dir=.", "--config-name=removed"),
        ("finetune", "--config-dir=.", "--config-name=group"),
    ],
    ids=" ".join,
)
def test_the_command_line_and_yaml_files_of_a_user_get_one_line(command, tmp_path, arguments):
    tmp_path.joinpath("key.yaml").write_text("defaults: [pretrain, _self_]\nstart: runs/x\n")
    tmp_path.joinpath("option.yaml").write_text("defaults: [pretrain, override masking: falling]\n")
    tmp_path.joinpath("removed.yaml").write_text(
        "defaults: [pretrain, _self_]\nname: x\ndata: {corpus: {path: x.txt}}\ncallbacks: {fast_products: null}\n"
    )
    tmp_path.joinpath("group.yaml").write_text("defaults: [finetune, override recipe: bert]\n")
    code, output, errors = command(*arguments)
    assert (code, output) == (2, "")
    assert errors.startswith("bert-lightning: error: ")
    assert " is now " in errors
    assert errors.count("\n") == 1


def test_an_option_of_the_users_own_may_have_an_old_name(command, tmp_path):
    tmp_path.joinpath("masking").mkdir()
    tmp_path.joinpath("masking", "falling.yaml").write_text("defaults: [bert]\n")
    assert command("diff", "masking=falling")[0] == 2
    assert command("pretrain", "masking=falling", "--config-dir=.", "--cfg=job")[0] == 0


def test_every_entry_of_the_tables_is_used():
    for old, new in KEYS.items():
        key = old.replace("*", ".x.")
        assert new_key(key).rpartition(".")[2] == new
    assert all(
        new_key(f"objective.terms.{old}.weight") == f"objective.terms.{new}.weight" for old, new in TERMS.items()
    )
