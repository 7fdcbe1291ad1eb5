import math

import pytest
import torch
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from bert_lightning.errors import UserError
from bert_lightning.metrics import Perplexity, TermMetrics
from bert_lightning.objectives.base import Term
from bert_lightning.objectives.cross_entropy import mean_cross_entropy


def term(logits, targets):
    return Term(mean_cross_entropy(logits, targets), logits, targets)


def test_values_are_over_all_predictions_whatever_the_batches():
    logits, targets = torch.randn(100, 7), torch.randint(0, 7, (100,))
    named: dict[str, Metric] = {"perplexity": Perplexity(), "accuracy": MulticlassAccuracy(7, average="micro")}
    metrics = TermMetrics({"mlm": named}, ["mlm"])
    for part in (slice(0, 3), slice(3, 90), slice(90, 90), slice(90, 100)):
        metrics.update({"mlm": term(logits[part], targets[part])})
    results = metrics.compute_and_reset()
    nll = torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item()
    assert results["mlm/loss"].item() == pytest.approx(nll / 100, rel=1e-5)
    assert results["mlm/perplexity"].item() == pytest.approx(math.exp(nll / 100), rel=1e-5)
    assert results["mlm/accuracy"].item() == pytest.approx((logits.argmax(-1) == targets).float().mean().item())
    metrics.update({"mlm": term(logits[:1], targets[:1])})
    assert metrics.compute_and_reset()["mlm/loss"] == term(logits[:1], targets[:1]).loss


def test_no_prediction_has_loss_zero():
    assert mean_cross_entropy(torch.zeros(0, 5), torch.zeros(0, dtype=torch.long)) == 0


def test_metrics_of_a_term_that_is_not_there():
    with pytest.raises(UserError, match=r"metrics.nsp: the objective has no such term, only mlm"):
        TermMetrics({"nsp": {"perplexity": Perplexity()}}, ["mlm"])


def test_a_term_without_metrics_has_its_loss():
    assert TermMetrics({}, ["mlm"]).names() == ["mlm/loss"]
