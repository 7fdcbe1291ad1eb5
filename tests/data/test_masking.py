import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_lightning.data.masking import TokenMasking
from bert_lightning.data.randomness import draw
from bert_lightning.errors import UserError

MASK, VOCABULARY = 4, 1000


def masked(masking, ids, is_text, seed=0):
    changed = ids.copy()
    positions, labels = masking(changed, is_text, draw(seed, np.arange(len(ids))), MASK, VOCABULARY)
    return changed, positions, labels


def test_rates():
    ids = np.full((4000, 128), 500)
    changed, positions, labels = masked(TokenMasking(), ids, np.ones_like(ids, dtype=bool))
    assert len(positions) / ids.size == pytest.approx(0.15, abs=0.002)
    got = changed.flatten()[positions]
    assert (labels == 500).all()
    assert (got == MASK).mean() == pytest.approx(0.8, abs=0.01)
    assert (got == 500).mean() == pytest.approx(0.1, abs=0.01)
    words = got[(got != MASK) & (got != 500)]
    assert len(words) / len(got) == pytest.approx(0.1, abs=0.01)
    # Random words come evenly from the whole vocabulary.
    assert np.histogram(words, 10, (0, VOCABULARY))[0] / len(words) == pytest.approx(np.full(10, 0.1), abs=0.02)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**40),
    shape=st.tuples(st.integers(1, 6), st.integers(1, 40)),
    rate=st.floats(0, 1),
    split=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)),
)
def test_only_text_is_touched_and_labels_are_what_stood_there(seed, shape, rate, split):
    rng = np.random.default_rng(seed)
    ids, is_text = rng.integers(5, VOCABULARY, shape), rng.random(shape) < 0.7
    changed, positions, labels = masked(TokenMasking(rate, *split), ids, is_text, seed)
    assert is_text.flatten()[positions].all()
    assert np.array_equal(labels, ids.flatten()[positions])
    elsewhere = np.delete(np.arange(ids.size), positions)
    assert np.array_equal(changed.flatten()[elsewhere], ids.flatten()[elsewhere])
    assert np.array_equal(positions, np.unique(positions))


def test_masks_of_a_row_depend_on_its_key_alone():
    ids, text = np.full((6, 60), 9), np.ones((6, 60), dtype=bool)
    keys = draw(1, np.arange(6))
    whole = ids.copy()
    TokenMasking()(whole, text, keys, MASK, VOCABULARY)
    alone = ids[2:3, :40].copy()
    TokenMasking()(alone, text[:1, :40], keys[2:3], MASK, VOCABULARY)
    assert np.array_equal(alone[0], whole[2, :40])


@pytest.mark.parametrize("wrong", [{"rate": 1.5}, {"mask_prob": -0.1}, {"mask_prob": 0.8, "random_prob": 0.3}])
def test_shares_that_cannot_be(wrong):
    with pytest.raises(UserError, match="masking"):
        TokenMasking(**wrong)
