"""Measures of rankings against scikit-learn and plain definitions."""

import numpy as np
import pytest
import torch

from bert_lightning.data.labelled.rankings import ranking_measures
from bert_lightning.data.labelled.retrieval import Collection
from bert_lightning.data.labelled.task_types import Example
from bert_lightning.metrics import Ranking
from bert_lightning.tasks.dense_retrieval import rankings


def test_measures_equal_references():
    """Fifty queries over 120 documents, with grades of 0 to 3."""
    score = pytest.importorskip("sklearn.metrics").ndcg_score
    rng = np.random.default_rng(0)
    queries, documents = (torch.nn.functional.normalize(torch.randn(n, 8), dim=-1) for n in (50, 120))
    grades = np.where(rng.random((50, 120)) < 0.1, rng.integers(1, 4, (50, 120)), 0)
    names = {f"d{i}": "" for i in range(120)}
    judged = [{f"d{i}": float(g) for i, g in enumerate(row) if g or i < 5} for row in grades]
    predictions = list(rankings(Collection([""] * 50, judged, names), queries, documents))
    cosines = (queries @ documents.T).numpy()
    metric = Ranking()
    metric.update(predictions, [Example("", "", {})] * 50)
    found = {name: value.item() for name, value in metric.compute().items()}

    order = np.argsort(-cosines, axis=1)
    relevant = np.take_along_axis(grades, order, 1) > 0
    first = relevant.argmax(1)
    expected = {"ndcg@10": score(grades, cosines, k=10), "mrr@10": np.where(first < 10, 1 / (first + 1), 0).mean()}
    expected |= {f"recall@{k}": (relevant[:, :k].sum(1) / relevant.sum(1)).mean() for k in (1, 10, 100)}
    assert found == pytest.approx(expected, abs=1e-9)


def test_a_ranking_by_hand():
    measures = ranking_measures(["a", "b", "c"], {"b": 2.0, "x": 1.0, "c": 0.0})
    log = np.log2
    assert measures["ndcg@10"] == pytest.approx((2 / log(3)) / (2 + 1 / log(3)))
    assert (measures["mrr@10"], measures["recall@1"], measures["recall@10"]) == (0.5, 0.0, 0.5)
    assert set(ranking_measures(["a"], {"x": 1.0}).values()) == {0.0}
