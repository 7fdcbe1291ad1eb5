"""Measures of a ranking of documents for a query."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

DEPTH = 100  # documents of a ranking that are kept and measured
RANKING_MEASURES = ("ndcg@10", "mrr@10", "recall@1", "recall@10", "recall@100")
Relevance = Mapping[str, float]  # id of a document -> its grade; above 0 is relevant


def ranking_measures(ranking: Sequence[str], relevance: Relevance) -> dict[str, float]:
    """Return the measures of one ranking, as `pytrec_eval` and BEIR define them.

    nDCG@10 has linear gains and a logarithmic discount (Järvelin and Kekäläinen 2002). MRR@10 is 1 / rank of the first
    relevant document among ten, else 0. Recall@k is the share of the relevant documents among the first k.

    Args:
        ranking: ids of documents, the best first.
        relevance: id -> grade. At least one is above 0.
    """
    gains = [max(0.0, relevance.get(name, 0.0)) for name in ranking]
    ideal = sorted((grade for grade in relevance.values() if grade > 0), reverse=True)
    first = next((rank for rank, gain in enumerate(gains[:10], 1) if gain > 0), math.inf)
    measures = {"ndcg@10": _dcg(gains[:10]) / _dcg(ideal[:10]), "mrr@10": 1 / first}
    recalls = {f"recall@{k}": sum(gain > 0 for gain in gains[:k]) / len(ideal) for k in (1, 10, 100)}
    return {**measures, **recalls}


def _dcg(gains: Sequence[float]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def ranking_row(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run keeps of a ranking: the grades, the first ten documents, their cosines, and the measures."""
    measures = ranking_measures(prediction["answer"], prediction["relevance"])
    best = {"prediction": prediction["answer"][:10], "scores": prediction["scores"][:10]}
    return {"gold": dict(prediction["relevance"]), **best, **measures}
