from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from bert_lightning.objectives import cross_entropy
from bert_lightning.objectives.cross_entropy import mean_cross_entropy


@pytest.mark.parametrize("scale", [1.0, 50.0, 1000.0])  # at 1000, most probabilities underflow
def test_value_and_gradient_are_those_of_torch(scale):
    torch.manual_seed(0)
    scores, targets = torch.randn(37, 91) * scale, torch.randint(91, (37,))
    ours, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    loss, expected = mean_cross_entropy(ours, targets), F.cross_entropy(theirs, targets)
    (3 * loss).backward()
    (3 * expected).backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("block", [2**19, 200])  # 200: blocks of two rows, which do not end where the targets end
def test_rows_after_the_last_target_have_no_effect(block, monkeypatch):
    monkeypatch.setattr(cross_entropy, "_BLOCK", block)
    torch.manual_seed(0)
    scores, targets = torch.randn(40, 91), torch.randint(91, (37,))
    padded, exact = scores.clone().requires_grad_(), scores[:37].clone().requires_grad_()
    losses = mean_cross_entropy(padded, targets), mean_cross_entropy(exact, targets)
    for loss in losses:
        loss.backward()
    assert torch.equal(*losses)
    assert torch.equal(padded.grad[:37], exact.grad)
    assert not padded.grad[37:].any()


def test_bfloat16_scores_give_a_float32_loss_and_a_bfloat16_gradient():
    torch.manual_seed(0)
    scores, targets = torch.randn(37, 91, dtype=torch.bfloat16), torch.randint(91, (37,))
    ours, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    loss = mean_cross_entropy(ours, targets)
    expected = F.cross_entropy(theirs.float(), targets)
    loss.backward()
    expected.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_no_targets_give_zero_and_not_nan():
    scores = torch.empty(0, 7, requires_grad=True)
    loss = mean_cross_entropy(scores, torch.empty(0, dtype=torch.long))
    loss.backward()
    assert loss == 0
    assert scores.grad.shape == (0, 7)


def test_a_second_backward_is_refused_and_not_wrong():
    scores = torch.randn(3, 4, requires_grad=True)
    loss = mean_cross_entropy(scores, torch.tensor([0, 1, 2]))
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="backward was called twice on this loss"):
        loss.backward()
