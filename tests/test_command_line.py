"""A mistake in a flag, key, quote or option gets one line that says how to fix it."""

import re
import shlex

import pytest
import yaml

from bert_lightning.console.arguments import Arguments
from bert_lightning.console.override_syntax import explain_unreadable, normalize_overrides, parse_override
from bert_lightning.errors import UserError

# Arguments, and the line that they get.
WRONG = {
    "unknown flag": (["pretrain", "--nothing"], "pretrain has no flag --nothing: the flags are --multirun"),
    "unknown letter": (["pretrain", "seed=3", "-x"], "pretrain has no flag -x"),
    "mistyped flag": (["pretrain", "--multirum"], "did you mean --multirun?"),
    "text that looks like a flag": (["predict", "-5 [MASK]"], "a text that begins with - must come after --"),
    "no such part": (["pretrain", "--cfg", "nothing"], "--cfg=nothing must be job, hydra or all"),
    "no value": (["pretrain", "--config-dir"], "--config-dir needs a value: give --config-dir <dir>"),
    "no folder": (["pretrain", "--config-dir", "no", "seed=3"], "--config-dir=no does not exist: give the folder"),
    "two folders": (["pretrain", "-cd", ".", "-cd", "/"], "--config-dir is given twice"),
    "no config": (["pretrain", "--config-name=pretrian"], "--config-name=pretrian: there is no such config: did you m"),
    "another verb's": (["pretrain", "-cn", "finetune"], "--config-name=finetune is not a config of pretrain"),
    "verb": (["pretrian"], "there is no verb 'pretrian': did you mean pretrain?"),
    "group": (["pretrain", "modle=tiny"], "modle=tiny: there is no such key: did you mean model=...?"),
    "nested key": (["pretrain", "lr=1e-4"], "lr=1e-4: there is no such key: did you mean optimizer.lr=...?"),
    "two nested keys": (["pretrain", "weight=2"], "objective.terms.mlm.weight=... or objective.terms.nsp.weight=...?"),
    "nested key, spelled wrong": (["pretrain", "maxsteps=2"], "did you mean trainer.max_steps=...?"),
    "chosen option": (["pretrain", "optimizer=muon", "momentum=1"], "did you mean optimizer.momentum=...?"),
    "option": (["pretrain", "variant=robeta"], "variant=robeta: variant has no such option: did you mean roberta?"),
    "option of diff": (["diff", "variant=robeta"], "variant=robeta: variant has no such option: did you mean roberta?"),
    "key of diff": (["diff", "lr=1"], "lr=1: there is no such key: did you mean optimizer.lr=...?"),
    "group without option": (["pretrain", "optimizer=null"], "optimizer=null: optimizer is a group: give one of adamw"),
    "group that is a number": (["finetune", "task=5"], "task=5: task is a group: give one of ag_news"),
    "another place": (
        ["pretrain", "model@x=tiny"],
        "model@x=tiny: the config has no group at this place: write model=",
    ),
    "added twice": (["pretrain", "+seed=3"], "+seed=3: seed exists already: write seed=3 without the +"),
    "deleted": (["pretrain", "~lr"], "~lr: there is no such key to delete: did you mean ~optimizer.lr?"),
    "deleted option": (["pretrain", "~variant=x"], "~variant=x: there is no such key to delete; ~variant"),
    "empty mapping": (
        ["pretrain", "objective.terms={}"],
        "objective.terms={} changes nothing, because",
    ),
    "no number": (["pretrain", "batch_size=many"], "batch_size=many: Value 'many' of type 'str' could not be"),
    "interpolation": (
        ["pretrain", "name=${sed}"],
        "name=${sed}: Interpolation key 'sed' not found: did you mean ${s",
    ),
    "variable": (["pretrain", "name=${oc.env:NO_SUCH}"], "name=${oc.env:NO_SUCH}: KeyError raised while resolving"),
    "resolver": (["pretrain", "name=${nothing:}"], "name=${nothing:}: Unsupported interpolation type nothing"),
    "circle": (["pretrain", "name=${runs}", "runs=${name}"], ": Recursive interpolation detected"),
    "open brace": (["pretrain", "name=${seed"], "name=${seed has an interpolation that cannot be read"),
    "open brace, quoted": (["pretrain", 'name="${seed"'], 'name="${seed"'),
    "no value given": (["pretrain", "data=sentences"], "data.corpus.path has no value: give data.corpus.path=..."),
    "no key": (["pretrain", "=3"], "'=3' has no valid key before the =: write key=value"),
    "no key but a +": (["pretrain", "+=3"], "'+=3' has no valid key"),
    "odd key": (["pretrain", "ü=3"], "'ü=3' has no valid key"),
    "no equals sign": (["pretrain", "roberta"], "'roberta' is not key=value: did you mean"),
    "empty": (["pretrain", ""], "'' is not key=value"),
    "bracket": (["pretrain", "["], "'[' is not key=value"),
    "deep brackets": (["pretrain", "seed=" + "[" * 3000], "cannot be read: quote the value"),
    "long": (["pretrain", "k" * 5000], "...k"),
    "long value": (["pretrain", "variant=" + "k" * 5000], "variant has no such option"),
    "long number": (["pretrain", "seed=" + "9" * 5000], "seed=9999"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_gets_one_line(case, command, tmp_path):
    arguments, message = WRONG[case]
    code, output, errors = command(*arguments)
    assert code == 2, (output, errors)
    assert errors.startswith("bert-lightning: error: ")
    assert errors.count("\n") == 1, errors
    assert len(errors) < 1600
    assert message in errors, errors
    assert output == ""
    assert list(tmp_path.iterdir()) == []


def test_flags_stand_anywhere(command, tmp_path):
    own = tmp_path / "own" / "variant"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("# @package _global_\nseed: 7\n")
    for arguments in (
        ["variant=mine", "--config-dir", "own", "batch_size=3", "--cfg", "job", "max_grad_norm=2"],
        ["--cfg=job", "variant=mine", "batch_size=3", "-cd", "own", "max_grad_norm=2"],
    ):
        code, output, errors = command("pretrain", *arguments)
        assert code == 0, errors
        config = yaml.safe_load(output)
        assert (config["seed"], config["batch_size"], config["max_grad_norm"]) == (7, 3, 2)


def test_plain_arguments_and_overrides_are_told_apart():
    found = Arguments.of("predict", ["A [MASK].", "-c", "job", "run=x", "E = mc2", "--", "--cfg", "run=y"])
    assert found.flags == {"--cfg": "job"}
    assert found.overrides == ["run=x"]
    assert found.plain == ["A [MASK].", "E = mc2", "--cfg", "run=y"]
    assert Arguments.of("diff", ["variant=a", "-i", "variant=b"]).plain == ["variant=a", "variant=b"]
    assert Arguments.of("pretrain", ["--info", "config", "seed=1"]).of_flags() == ["--info", "config"]


UNREADABLE = [
    "name=a [b", "name=a=b", 'name=a"b', "name=it's", "task.path=file[1].csv", "task.path=/a b/(c).txt", "name=[[[",
    "name={a", "name=)", "name=a,", "name=a'b\"c\\", "task.path=/ü ü/ö.txt", "name=a\\' b'", "+x=a]",
    "name=,",
]  # fmt: skip


@pytest.mark.parametrize("override", UNREADABLE)
def test_what_is_shown_can_be_pasted(override):
    """Through a shell and through Hydra it is the text that was meant."""
    with pytest.raises(UserError, match="cannot be read: quote the value, as in ") as error:
        normalize_overrides([override], sweep=False)
    (shown,) = shlex.split(str(error.value).partition("as in ")[2])
    (again,) = normalize_overrides([shown], sweep=False)
    assert parse_override(again).value() == override.partition("=")[2]
    assert again.partition("=")[0] == override.partition("=")[0]


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("name=ü", "ü"),
        ("task.path=/a/日本/ü.txt", "/a/日本/ü.txt"),
        ("name=a b", "a b"),
        ("task.labels=[gut,schön]", ["gut", "schön"]),
        ("name='a, b'", "a, b"),
        ("name=", ""),
    ],
)
def test_letters_of_every_language_need_no_quotes(override, value):
    (found,) = normalize_overrides([override], sweep=False)
    assert parse_override(found).value() == value


def test_a_sweep_over_letters_of_every_language():
    (found,) = normalize_overrides(["name=ä,ö"], sweep=True)
    assert [str(value) for value in parse_override(found).sweep_string_iterator()] == ["'ä'", "'ö'"]


def test_an_argument_of_thousands_of_characters_is_shortened():
    assert len(explain_unreadable("name=[" + "x" * 9000)) < 800
    assert re.search("x{50}[.]{3}x{50}", explain_unreadable("name=[" + "x" * 9000))
