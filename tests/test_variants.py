"""Variants have their published sizes, train, and can be mixed. A new variant needs no code."""

import json
import re
import subprocess
import textwrap
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose

import bert_lightning
from bert_lightning.cli import conf_folder
from bert_lightning.config.building import build
from bert_lightning.model import BERT
from bert_lightning.verbs.models import pretraining_costs, published_configs
from tests.model.test_unpadded import MASKS, assert_same, results

CONF = conf_folder()
VARIANTS = sorted(path.stem for path in (CONF / "variant").glob("*.yaml"))
EMBEDDINGS = {
    "electra-small": 3_972_864,
    "base": 23_837_184,
    "large": 31_782_912,
}  # of ELECTRA, which both networks share

# Parameters of encoder and pretraining heads, as transformers 5.23 instantiates them: ForPreTraining, or ForMaskedLM
# where there is no second objective; discriminator and generator with a head each, and their embeddings counted once.
PUBLISHED = {
    ("bert", "base"): 110_106_428,
    ("bert", "large"): 336_226_108,
    ("roberta", "base"): 124_697_433,
    ("roberta", "large"): 355_412_057,
    ("albert", "base"): 11_813_810,
    ("albert", "large"): 17_847_474,
    ("albert", "xlarge"): 59_021_490,
    ("albert", "xxlarge"): 223_158_450,
    ("distilbert", "distilbert-base"): 66_985_530,
    ("electra", "electra-small"): 13_549_057 + 4_620_026 - EMBEDDINGS["electra-small"],
    ("electra", "base"): 109_483_009 + 33_740_602 - EMBEDDINGS["base"],
    ("electra", "electra-small", "objective.terms.generator.width=1"): 13_549_057
    + 13_546_682
    - EMBEDDINGS["electra-small"],
    ("electra", "large"): 335_142_913 + 51_295_290 - EMBEDDINGS["large"],
    # cased BERT without its pooler, the head for masked words, and that for spans of up to 20 with 200-wide places
    ("spanbert", "base"): 108_310_272
    - 590_592
    + (768 * 769 + 2 * 768 + 28_996)
    + (20 * 200 + (2 * 768 + 200 + 1) * 768 + 769 * 768 + 4 * 768 + 28_996),
    ("modernbert", "modernbert-base"): 149_655_232,
    ("modernbert", "modernbert-large"): 395_881_664,
}


def test_every_recipe_has_a_golden_run():
    assert set(VARIANTS) < json.loads(Path(__file__).with_name("golden.json").read_text()).keys()


def test_every_size_is_some_recipe_s():
    sizes = {path.stem for path in (CONF / "model").glob("*.yaml")} - {"bert"}  # which all others include
    published = [yaml.safe_load((CONF / "variant" / f"{name}.yaml").read_text())["published"] for name in VARIANTS]
    assert sizes == {size for facts in published for size in facts["sizes"]}
    assert all(facts.get("by_size", {}).keys() <= set(facts["sizes"]) for facts in published)


@pytest.mark.parametrize("recipe", [recipe for recipe in PUBLISHED if len(recipe) > 2], ids="-".join)
def test_published_sizes_that_need_an_override(recipe, hydra_configs):
    variant, model, *others = recipe
    ((_, _, config),) = published_configs([f"variant={variant}", f"model={model}", *others])
    assert pretraining_costs(config).total == PUBLISHED[recipe]


@pytest.mark.slow
def test_models_shows_every_published_size(command):
    code, output, errors = command("models")
    assert code == 0, errors
    rows = [line.split() for line in output.split("\n\n")[0].splitlines()[1:]]
    shown = {(row[0], row[1]): row[3] for row in rows}
    assert {variant for variant, _ in shown} == set(VARIANTS)
    for (variant, model, *others), count in PUBLISHED.items():
        if not others:
            assert shown[variant, model] == f"{count:,}"
    electra = {row[1]: row for row in rows if row[0] == "electra"}
    assert (electra["electra-small"][6], electra["base"][6]) == ("128", "512")  # tokens of the published sequences
    assert electra["base"][-2:] == ["with", "objective.terms.generator.width=0.3333"]
    for name in VARIANTS:
        published = yaml.safe_load((CONF / "variant" / f"{name}.yaml").read_text())["published"]
        assert {model for variant, model in shown if variant == name} == set(published["sizes"])


def test_models_takes_overrides(command):
    code, output, errors = command("models", "variant=albert", "model=base", "model.num_hidden_layers=6")
    assert code == 0, errors
    (row,) = [line.split() for line in output.split("\n\n")[0].splitlines()[1:]]
    assert row[:4] == ["albert", "base", "30,000", "11,813,810"]  # shared layers: half of them weigh the same
    code, _, errors = command("models", "variant=albert", "model.num_hidden_groups=5")
    assert code == 2
    assert "num_hidden_groups=5 must divide num_hidden_layers" in errors


@pytest.fixture
def small(tiny_run):
    """Overrides that make any training take a second, whatever the tokenizer."""
    return [override for override in tiny_run if not override.startswith("tokenizer.")]


MIXED = {
    "ALBERT's sharing with replaced tokens": ("variant=albert", "objective=rtd", "masking=electra"),
    "RoBERTa's data with sentence order": (
        "variant=roberta", "examples=sentence_order", "objective=mlm_sop", "model.type_vocab_size=2",
    ),
    "pre-norm, rotary BERT with whole-word masks": (
        "model.norm_order=pre", "model.positions=rotary", "model.final_norm=true", "masking=whole_words",
    ),
    "everything modern with LAMB, spans and disentangled embeddings": (
        "variant=modernbert", "objective=rtd", "objective.terms.generator.sharing=disentangled", "masking=spans",
        "optimizer=lamb", "schedule=cosine",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("mixture", MIXED)
def test_recipes_mix_on_the_command_line(mixture, command, small, tmp_path):
    code, _, errors = command("pretrain", *small, *MIXED[mixture], "name=mixed")
    assert code == 0, errors
    assert json.loads((tmp_path / "runs/mixed/summary.json").read_text())["steps"] == 4


def test_no_code_asks_for_a_variant():
    """A comparison with a recipe's name, or a look at which was chosen. `model/` compares families of config.json."""
    package = Path(bert_lightning.__file__).parent
    names = "|".join(VARIANTS)
    pattern = rf"(if|elif|case|==|!=|in)\b.*[\"']({names})[\"']|(config|choices)\.variant"
    found = subprocess.run(
        ["grep", "-rnEi", "--include=*.py", pattern, package], capture_output=True, text=True, check=False
    )
    assert found.returncode in (0, 1), found.stderr
    assert [line for line in found.stdout.splitlines() if "/model/" not in line] == []


def test_a_variant_is_added_by_one_yaml(command, small, tmp_path):
    """The example of CONTRIBUTING.md, in a folder of the user's own."""
    guide = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n([^`]*variant/izsak.yaml.*?)```", guide, re.DOTALL)
    (tmp_path / "mine" / "variant").mkdir(parents=True)
    (tmp_path / "mine" / "variant" / "izsak.yaml").write_text(textwrap.dedent(example), encoding="utf-8")
    code, _, errors = command("pretrain", "--config-dir=mine", *small, "variant=izsak", "name=added")
    assert code == 0, errors
    config = yaml.safe_load((tmp_path / "runs/added/config.yaml").read_text())
    assert config["model"]["norm_order"] == "pre"
    assert list(config["objective"]["terms"]) == ["mlm"]
    code, output, errors = command("models", "--config-dir=mine", "variant=izsak")
    assert code == 0, errors
    assert re.search(r"^izsak +large +30,522 ", output, re.MULTILINE)
    code, output, errors = command("diff", "--config-dir=mine", "variant=izsak", "variant=bert")
    assert code == 0, errors
    assert re.search(r"^model.norm_order +pre +post$", output, re.MULTILINE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_recipe_computes_without_padding_what_it_does_with(variant, hydra_configs):
    """Values and gradients, also of empty rows, single tokens, full batches and packed rows."""
    sizes = dict(vocab_size=60, hidden_size=32, num_hidden_layers=4, num_attention_heads=4, intermediate_size=48,
                 max_position_embeddings=40, dropout_rate=0)  # fmt: skip
    config = compose("pretrain", ["name=test", f"variant={variant}", *(f"model.{k}={v}" for k, v in sizes.items())])
    if config.model.local_window is not None:
        config.model.local_window = 12
    torch.manual_seed(0)
    encoder = BERT(build(config.model))
    for mask in MASKS.values():
        assert_same(results(encoder, True, mask), results(encoder, False, mask))
