"""The search space: Hydra's syntax of values becomes distributions, a grid and points."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from bert_lightning.errors import UserError
from bert_lightning.search.settings import SearchSettings
from bert_lightning.search.space import Space, override_text


def space(*overrides, **conditions):
    return Space.parsed(OverridesParser.create().parse_overrides(list(overrides)), conditions)


@pytest.mark.parametrize(
    ("override", "distribution"),
    [
        ("lr=tag(log,interval(1e-5,1e-3))", FloatDistribution(1e-5, 1e-3, log=True)),
        ("lr=interval(0,1)", FloatDistribution(0, 1)),
        ("steps=int(interval(1,8))", IntDistribution(1, 8)),
        ("steps=range(2,9,3)", IntDistribution(2, 8, step=3)),
        ("steps=range(0,1,0.25)", FloatDistribution(0, 0.75, step=0.25)),
        ("steps=tag(log,range(1,9))", IntDistribution(1, 8, log=True)),
        ("variant=bert,electra", CategoricalDistribution(["bert", "electra"])),
        ("+betas=choice([0.9,0.98],[0.9,0.999])", CategoricalDistribution(["[0.9,0.98]", "[0.9,0.999]"])),
        ("name='a b',c", CategoricalDistribution(["'a b'", "c"])),
    ],
)
def test_each_form_of_values_is_a_distribution(override, distribution):
    (entry,) = space(override).entries
    assert entry.distribution == distribution
    assert entry.key == override.partition("=")[0]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lr=interval(1,1)", "must begin below its end"),
        ("lr=tag(log,interval(0,1))", "must begin above 0"),
        ("lr=tag(logarithmic,interval(1,2))", "the only tag of a search is log"),
        ("lr=tag(log,choice(1,2))", r"a search takes choice\(...\), range"),
        ("n=range(5,1)", "must begin below its end"),
        ("n=tag(log,range(1,9,2))", "with a step of 1"),
        ("n=tag(log,range(0,1,0.5))", "takes an interval, or a range of whole numbers"),
    ],
)
def test_values_that_cannot_be_searched_are_one_line(override, message):
    with pytest.raises(UserError, match=message):
        space(override)


def test_a_grid_has_each_point_once_and_the_last_key_varies_fastest():
    found = space("momentum=0.8,0.9", "optimizer=adamw,muon", "n=range(1,3)", momentum={"optimizer": "muon"})
    assert [" ".join(map(str, point.values())) for point in found.grid()] == [
        "adamw 1", "adamw 2", "muon 0.8 1", "muon 0.8 2", "muon 0.9 1", "muon 0.9 2",
    ]  # fmt: skip
    with pytest.raises(UserError, match="an interval has too many"):
        space("lr=interval(0,1)").grid()


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"n": {"a": 1}}, "n is not varied"),
        ({"a": {"c": 1}}, "must map other keys of the space to values"),
        ({"a": {"a": 1}}, "must map other keys of the space to values"),
        ({"a": "b"}, "must map other keys of the space to values"),
        ({"a": {"b": 1}, "b": {"a": [1, 2]}}, "depends on itself"),
    ],
)
def test_wrong_conditions_are_one_line(conditions, message):
    with pytest.raises(UserError, match=message):
        space("a=1,2", "b=1,2", **conditions)


def test_points_cover_the_range_of_each_key():
    found = space("lr=tag(log,interval(1e-4,1e-2))", "n=range(1,9)", "variant=bert,electra")
    assert found.point([0.0, 0.0, 0.0]) == {"lr": pytest.approx(1e-4), "n": 1, "variant": "bert"}
    assert found.point([0.5, 0.5, 0.5]) == {"lr": pytest.approx(1e-3), "n": 5, "variant": "electra"}
    last = found.point([0.999999] * 3)
    assert (last["n"], last["variant"], override_text("n", last["n"])) == (8, "electra", "n=8")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "needs a budget"),
        ({"trials": 0}, "trials=0 must be a whole number, 1 or more"),
        ({"trials": 2.5}, "trials=2.5 must be a whole number"),
        ({"hours": -1}, "hours=-1 must be a number above 0"),
        ({"trials": 1, "sampler": "best"}, "sampler=best must be tpe, random, grid or qmc"),
        ({"trials": 1, "pruner": None}, "pruner=null must be none, median, asha or hyperband"),
        ({"trials": 1, "params": 3}, "params=3 must be a mapping"),
    ],
)
def test_wrong_settings_are_one_line(settings, message):
    with pytest.raises(UserError, match=message):
        SearchSettings(**settings)
