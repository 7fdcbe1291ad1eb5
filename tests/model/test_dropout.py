import pytest
import torch

from bert_lightning.model.attention import _DropoutAttention
from bert_lightning.model.dropout import Dropout, keep_mask


@pytest.mark.parametrize(("p", "exact"), [(0.1, 26 / 256), (0.5, 0.5), (0.999, 255 / 256)])
def test_rate_scale_and_gradient(p, exact):
    torch.manual_seed(0)
    x = torch.full((1000, 1001), 3.0, requires_grad=True)
    y = Dropout(p).train()(x)
    kept = y != 0
    assert 1 - kept.float().mean().item() == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 1e6) ** 0.5)
    assert torch.equal(y[kept], torch.full_like(y[kept], 3 / (1 - exact)))
    y.sum().backward()
    torch.testing.assert_close(x.grad, kept / (1 - exact))


def test_every_place_of_a_drawn_word_has_the_same_rate():
    torch.manual_seed(0)
    dropped = keep_mask(torch.empty(80_000, 8), 0.5) == 0
    assert dropped.float().mean(0).tolist() == pytest.approx([0.5] * 8, abs=0.01)


def test_neighbours_are_independent():
    torch.manual_seed(0)
    dropped = (keep_mask(torch.empty(500_000), 0.5) == 0).float()
    for distance in (1, 2, 7, 8):
        assert (dropped[distance:] * dropped[:-distance]).mean().item() == pytest.approx(0.25, abs=0.003)


def test_the_generator_repeats_it():
    x, dropout = torch.ones(7, 9), Dropout(0.3).train()
    state = torch.get_rng_state()
    first, second = dropout(x), dropout(x)
    torch.set_rng_state(state)
    assert torch.equal(dropout(x), first)
    assert torch.equal(dropout(x), second)
    assert not torch.equal(first, second)


def test_none_in_evaluation_or_at_rate_zero():
    x = torch.ones(5)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0).train()(x) is x


@pytest.mark.parametrize("masked", [True, False])
def test_attention_with_dropout_against_the_formula(masked):
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, n, 4, dtype=torch.float64, requires_grad=True) for n in (5, 7, 7))
    mask = (torch.arange(7) < torch.tensor([[4], [7]]))[:, None, None] if masked else None
    torch.manual_seed(1)
    context = _DropoutAttention.apply(query, key, value, mask, 0.3)
    torch.manual_seed(1)
    scores = query @ key.transpose(-1, -2) / 2
    scores = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    expected = (weights * keep_mask(weights, 0.3)) @ value
    torch.testing.assert_close(context, expected)
    direction = torch.randn_like(context)
    for got, want in zip(
        torch.autograd.grad(context, (query, key, value), direction),
        torch.autograd.grad(expected, (query, key, value), direction),
        strict=True,
    ):
        torch.testing.assert_close(got, want)
