"""Metrics equal those of scikit-learn, SciPy, seqeval and the SQuAD scripts, on random and on extreme inputs."""

import collections
import itertools
import math
import re
import string

import numpy as np
import pytest
import torch
from scipy import stats
from seqeval.metrics import f1_score as entity_f1
from seqeval.metrics import precision_score, recall_score
from sklearn import metrics as sk

from bert_lightning.data.labelled.task_types import Example
from bert_lightning.errors import UserError
from bert_lightning.metrics import F1, Accuracy, Correlations, EntityF1, MacroF1, Matthews, Squad, TaskMetrics

warnings_of_references = pytest.mark.filterwarnings("ignore")


def measured(metric, found, right):
    """The values, updated in uneven batches."""
    examples = [Example("", "", {}, answer) for answer in right]
    predictions = [answer if isinstance(answer, dict) else {"answer": answer} for answer in found]
    cuts = sorted({0, len(found), len(found) // 3, len(found) // 3 + 1})
    for start, end in itertools.pairwise(cuts):
        metric.update(predictions[start:end], examples[start:end])
    return {name: value.item() for name, value in metric.compute().items()}


def class_cases():
    rng = np.random.default_rng(0)
    labels = ["no", "yes", "perhaps"]
    for size in (1, 2, 7, 500):
        for _ in range(20):
            kinds = rng.choice(labels, size=rng.integers(1, 4), replace=False)
            yield rng.choice(labels, size).tolist(), rng.choice(kinds, size).tolist()
    yield ["yes"] * 5, ["yes"] * 5
    yield ["no"] * 5, ["yes"] * 5
    yield ["yes"] * 9, ["no", *["yes"] * 8]  # a collapsed model


@warnings_of_references
def test_classes():
    labels = ["no", "yes", "perhaps"]
    for found, right in class_cases():
        assert measured(Accuracy(), found, right)["accuracy"] == pytest.approx(
            sk.accuracy_score(right, found), abs=1e-12
        )
        assert measured(Matthews(labels), found, right)["matthews"] == pytest.approx(
            sk.matthews_corrcoef(right, found), abs=1e-12
        )
        assert measured(MacroF1(labels), found, right)["macro_f1"] == pytest.approx(
            sk.f1_score(right, found, average="macro", zero_division=0), abs=1e-12
        )
        binary = [["yes" if answer == "yes" else "no" for answer in side] for side in (found, right)]
        assert measured(F1(["no", "yes"], "yes"), *binary)["f1"] == pytest.approx(
            sk.f1_score(binary[1], binary[0], pos_label="yes", zero_division=0), abs=1e-12
        )


def test_a_positive_label_that_there_is_not():
    with pytest.raises(UserError, match=r"positive='maybe' is not one of the labels \(no, yes\)"):
        F1(["no", "yes"], "maybe")


@warnings_of_references
def test_correlations():
    rng = np.random.default_rng(0)
    cases = [(rng.normal(size=n), rng.normal(size=n)) for n in (2, 3, 10, 999) for _ in range(10)]
    cases += [(rng.integers(0, 4, 50).astype(float), rng.integers(0, 3, 50).astype(float)) for _ in range(20)]  # ties
    cases += [(1e8 + rng.normal(size=50), rng.normal(size=50))]  # a large mean
    cases += [(x := np.arange(5.0), x), (x, -x), (np.ones(5), x), (x, np.ones(5))]  # constant sides: not a number
    for found, right in cases:
        ours = measured(Correlations(), found.tolist(), right.tolist())
        assert ours["pearson"] == pytest.approx(stats.pearsonr(found, right).statistic, abs=1e-9, nan_ok=True)
        assert ours["spearman"] == pytest.approx(stats.spearmanr(found, right).statistic, abs=1e-12, nan_ok=True)
    assert math.isnan(measured(Correlations(), [1.0], [1.0])["pearson"])


@warnings_of_references
def test_entities():
    rng = np.random.default_rng(0)
    tags = ["O", "B-A", "I-A", "B-B", "I-B", "B-C-D", "I-C-D"]
    cases = []
    for _ in range(200):
        right = [rng.choice(tags, rng.integers(0, 12)).tolist() for _ in range(4)]
        found = [[t if rng.random() < 0.6 else str(rng.choice(tags)) for t in sentence] for sentence in right]
        cases.append((found, right))
    cases += [([["O", "O"]], [["O", "O"]]), ([["B-A"]], [["O"]]), ([["O"]], [["B-A"]]), ([["I-A"]], [["B-A"]])]
    for found, right in cases:
        ours = measured(EntityF1(), found, right)
        assert ours["f1"] == pytest.approx(entity_f1(right, found), abs=1e-12)
        assert ours["precision"] == pytest.approx(precision_score(right, found), abs=1e-12)
        assert ours["recall"] == pytest.approx(recall_score(right, found), abs=1e-12)


# The rules of evaluate-v1.1.py and evaluate-v2.0.py, written down a second time.


def words(text):
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def reference_exact(found, right):
    return int(" ".join(words(found)) == " ".join(words(right)))


def reference_f1(found, right, version):
    found, right = words(found), words(right)
    if version == 2 and (len(found) == 0 or len(right) == 0):
        return int(found == right)
    same = sum((collections.Counter(found) & collections.Counter(right)).values())
    if same == 0:
        return 0
    precision, recall = same / len(found), same / len(right)
    return 2 * precision * recall / (precision + recall)


def reference_best(spans, odds, gold, score):
    """find_best_thresh, over questions in the order of their odds."""
    current = best = sum(not answers for answers in gold)
    threshold = 0.0
    for i in sorted(range(len(odds)), key=odds.__getitem__):
        current += score[i] if gold[i] else (-1 if spans[i] else 0)
        if current > best:
            best, threshold = current, odds[i]
    return 100 * best / len(gold), threshold


TEXTS = [
    "", "the", "The Cat", "cat", "a cat, the cat", "cat  cat dog", "Dog!", "...", "1990", "in 1990", "é", "Ca\u00f1on",
    "an",
]  # fmt: skip


def squad_cases(version):
    rng = np.random.default_rng(version)
    for size in (1, 2, 5, 40, 300):
        for _ in range(8):
            nothing = [rng.random() < 0.4 for _ in range(size)]
            gold = [
                [] if version == 2 and none else [str(t) for t in rng.choice(TEXTS[1:], rng.integers(1, 4))]
                for none in nothing
            ]
            yield [str(t) for t in rng.choice(TEXTS, size)], rng.normal(size=size).tolist(), gold


def as_answers(gold):
    return [[{"text": text, "answer_start": 0} for text in texts] for texts in gold]


def test_squad_1():
    for spans, _, gold in squad_cases(1):
        found = [{"answer": span, "best_answer": span, "null_odds": 0.0} for span in spans]
        ours = measured(Squad(), found, as_answers(gold))
        pairs = list(zip(spans, gold, strict=True))
        exact = 100 * np.mean([max(reference_exact(f, g) for g in texts) for f, texts in pairs])
        f1 = 100 * np.mean([max(reference_f1(f, g, 1) for g in texts) for f, texts in pairs])
        assert ours == pytest.approx({"exact": exact, "f1": f1}, abs=1e-9)


def test_squad_2_with_its_threshold():
    for spans, odds, gold in squad_cases(2):
        found = [
            {"answer": "" if odd > 0 else span, "best_answer": span, "null_odds": odd}
            for span, odd in zip(spans, odds, strict=True)
        ]
        ours = measured(Squad(unanswerable=True), found, as_answers(gold))
        kept = [[t for t in texts if words(t)] for texts in gold]  # the script drops answers that vanish
        best = {"exact": [], "f1": []}
        mine = {"exact": [], "f1": []}
        for row, texts in zip(found, kept, strict=True):
            for scores, answer in ((mine, row["answer"]), (best, row["best_answer"])):
                scores["exact"].append(max(reference_exact(answer, t) for t in texts or [""]))
                scores["f1"].append(max(reference_f1(answer, t, 2) for t in texts or [""]))
        for name in ("exact", "f1"):
            assert ours[name] == pytest.approx(100 * np.mean(mine[name]), abs=1e-9)
            for side, chosen in (("has_answer", True), ("no_answer", False)):
                part = [score for score, texts in zip(mine[name], kept, strict=True) if bool(texts) == chosen]
                assert ours[f"{side}_{name}"] == pytest.approx(100 * np.mean(part) if part else 0, abs=1e-9)
            value, threshold = reference_best(spans, odds, kept, best[name])
            assert ours[f"best_{name}"] == pytest.approx(value, abs=1e-9)
            if name == "f1":
                assert ours["best_f1_threshold"] == pytest.approx(threshold, abs=1e-9)


def test_values_are_named_by_term_and_counts_start_again():
    metrics = TaskMetrics("classification", {"a": Accuracy(), "f": F1(["n", "y"], "y")})
    assert metrics.names() == ["classification/loss", "classification/accuracy", "classification/f1"]
    for answer, accuracy in (("y", 1.0), ("n", 0.0)):
        metrics.update(None, [{"answer": answer}], [Example("", "", {}, "y")])
        results = metrics.compute_and_reset()
        assert results["classification/accuracy"] == accuracy
        assert "classification/loss" not in results
    assert torch.is_tensor(results["classification/f1"])
