"""Pseudo-values of examples: their mean is our metric, and each is that of a plain leave-one-out loop."""

import numpy as np
import pytest
import torch

from bert_lightning.compare import example_values
from bert_lightning.compare.example_values import class_metric, pseudo_values, ratio_metric
from bert_lightning.data.labelled.conll import entities
from bert_lightning.data.labelled.task_types import Example
from bert_lightning.metrics import F1, Correlations, EntityF1, MacroF1, Matthews

RNG = np.random.default_rng(0)
LABELS = ["a", "b", "c"]
TAGS = ["O", "B-X", "I-X", "B-Y"]


def measured(metric, found, gold):
    metric.reset()
    metric.update([{"answer": f} for f in found], [Example("", "", {}, g) for g in gold])
    return {name: value.item() for name, value in metric.compute().items()}


def left_out(metric, name, found, gold):
    """The metric without each example, by our own class and a loop."""
    rest = [(found[:i] + found[i + 1 :], gold[:i] + gold[i + 1 :]) for i in range(len(gold))]
    return np.array([measured(metric, *parts)[name] for parts in rest])


def check(metric, name, found, gold, value, values):
    assert value == pytest.approx(measured(metric, found, gold)[name], abs=1e-12)
    assert values.mean() == pytest.approx(value, abs=1e-9)
    without = left_out(metric, name, found, gold)
    n, theta = len(gold), value
    textbook = n * theta - (n - 1) * without
    assert values - values.mean() == pytest.approx(textbook - textbook.mean(), abs=1e-9)


def classes(size, labels=LABELS):
    found, gold = ([str(label) for label in RNG.choice(labels, size)] for _ in range(2))
    return found, [f if RNG.random() < 0.5 else g for f, g in zip(found, gold, strict=True)]


CASES = {
    "random": classes(40),
    "a class is rare": (["a"] * 20 + ["b", "c"], ["a"] * 21 + ["b"]),
    "one true class": (["a", "b", "a"], ["a", "a", "a"]),
    "only one example of a class": (["a", "b", "a", "a"], ["a", "b", "a", "a"]),
    "all wrong": (["a", "b"], ["b", "a"]),
}


@pytest.mark.parametrize("case", CASES)
def test_classes(case):
    found, gold = CASES[case]
    numbers = [np.array([LABELS.index(label) for label in side]) for side in (gold, found)]
    check(F1(LABELS, "b"), "f1", found, gold, *class_metric(*numbers, 3, lambda c: example_values.class_f1(c)[1]))
    check(MacroF1(LABELS), "macro_f1", found, gold, *class_metric(*numbers, 3, example_values.macro_f1))
    check(Matthews(LABELS), "matthews", found, gold, *class_metric(*numbers, 3, example_values.matthews))


@pytest.mark.parametrize("tags", [TAGS, ["O"], ["O", "O", "O", "O", "O", "B-X"]])
def test_entities(tags):
    found, gold = ([[str(tag) for tag in RNG.choice(tags, 4)] for _ in range(12)] for _ in range(2))
    pairs = [(entities(f), entities(g)) for f, g in zip(found, gold, strict=True)]
    hits, ours, theirs = np.array([(len(f & g), len(f), len(g)) for f, g in pairs], dtype=float).T
    ratios = {"precision": (hits, ours), "recall": (hits, theirs), "f1": (2 * hits, ours + theirs)}
    for name, ratio in ratios.items():
        check(EntityF1(), name, found, gold, *ratio_metric(*ratio))


@pytest.mark.parametrize("ties", [False, True])
def test_correlations(ties, monkeypatch):
    monkeypatch.setattr(example_values, "_BLOCK", 50)  # several blocks
    gold = RNG.integers(0, 4, 25).astype(float) if ties else RNG.normal(size=25)
    found = np.round(gold + RNG.normal(size=25), 0 if ties else 9)
    for name in ("pearson", "spearman"):
        value, values = getattr(example_values, name)(found, gold)
        check(Correlations(), name, found.tolist(), gold.tolist(), value, values)


def test_a_correlation_of_a_constant_is_not_a_number():
    x, constant = np.arange(5.0), np.full(5, 2.0)
    for correlation in (example_values.pearson, example_values.spearman):
        value, values = correlation(x, constant)
        assert np.isnan(value)
        assert values is None


def test_a_correlation_that_rests_on_one_example_has_no_values_of_examples():
    """Without this example, one side is constant, and the correlation is not defined."""
    x, nearly = np.arange(5.0), np.array([1.0, 1.0, 1.0, 1.0, 3.0])
    for correlation in (example_values.pearson, example_values.spearman):
        value, values = correlation(x, nearly)
        assert value == pytest.approx(measured(Correlations(), x.tolist(), nearly.tolist())[correlation.__name__])
        assert values is None


def test_the_variance_of_pseudo_values_is_that_of_the_metric():
    """The F1 of 300 samples of 200 examples: its standard deviation, and the mean of that of the jackknife."""
    rng = np.random.default_rng(1)
    f1 = []
    for _ in range(300):
        gold = rng.integers(0, 2, 200)
        found = np.where(rng.random(200) < 0.8, gold, 1 - gold)
        f1.append(class_metric(gold, found, 2, lambda c: example_values.class_f1(c)[1]))
    spread = np.std([value for value, _ in f1], ddof=1)
    estimated = np.mean([values.std(ddof=1) / np.sqrt(200) for _, values in f1])
    assert estimated == pytest.approx(spread, rel=0.1)


def test_pseudo_values_of_a_mean_are_its_terms():
    x = torch.linspace(0, 1, 7).double().numpy()
    without = np.array([np.delete(x, i).mean() for i in range(len(x))])
    assert pseudo_values(x.mean(), without) == pytest.approx(x)
