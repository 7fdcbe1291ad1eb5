"""Metrics: losses and logits of an objective's terms, and predictions measured as by the tasks' official scripts."""

from bert_lightning.metrics.classification import F1, Accuracy, MacroF1, Matthews, PairAccuracy, WordAccuracy
from bert_lightning.metrics.correlation import Correlations
from bert_lightning.metrics.entities import EntityF1
from bert_lightning.metrics.ranking import Ranking
from bert_lightning.metrics.squad import Squad
from bert_lightning.metrics.task_metrics import TaskMetric, TaskMetrics
from bert_lightning.metrics.term_metrics import Perplexity, TermMetrics

__all__ = [
    "F1",
    "Accuracy",
    "Correlations",
    "EntityF1",
    "MacroF1",
    "Matthews",
    "PairAccuracy",
    "Perplexity",
    "Ranking",
    "Squad",
    "TaskMetric",
    "TaskMetrics",
    "TermMetrics",
    "WordAccuracy",
]
