import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from bert_lightning.data.pretraining.masking import (
    MaskableText,
    NgramMasking,
    RateSchedule,
    ReplacementVocabulary,
    SpanMasking,
    TokenMasking,
    WholeWordMasking,
)
from bert_lightning.data.randomness import random_bits
from bert_lightning.errors import UserError
from bert_lightning.text.tokenizers.recipes import vocabulary_size

MASK = 4
VOCABULARY = ReplacementVocabulary(MASK, np.setdiff1d(np.arange(5, 1000), np.arange(300, 350)))  # with a gap
MASKINGS = [TokenMasking, WholeWordMasking, SpanMasking, NgramMasking]


def text_of(is_text, begins_word=None):
    """Text where `is_text` [B, S] says, one example a row, words where `begins_word` [B, S] says."""
    row, column = np.nonzero(is_text)
    position = row * is_text.shape[1] + column
    words = np.ones(is_text.size, dtype=bool) if begins_word is None else begins_word.reshape(-1)
    return MaskableText(position, lambda: words[position], lambda: row)


def masked(masking, ids, text, seed=0, progress=1.0):
    changed = ids.reshape(-1).copy()
    keys = random_bits(seed, np.arange(len(ids)))
    positions, labels = masking(changed, text, keys, np.full(len(ids), progress), VOCABULARY)
    return changed, positions, labels


def units(text, masking, seed, shape):
    """Which unit each token of the text is in: [T]."""
    starts = np.zeros(len(text.position), dtype=bool)
    starts[masking._unit_starts(text, random_bits(seed, np.arange(shape[0]), 3), shape[1])] = True
    return np.cumsum(starts) - 1


@st.composite
def batches(draw_):
    """Ids, where text is (special tokens cut it into pieces), where words begin, and a seed."""
    seed = draw_(st.integers(0, 2**40))
    shape = draw_(st.tuples(st.integers(1, 6), st.integers(2, 60)))
    rng = np.random.default_rng(seed)
    is_text = rng.random(shape) < draw_(st.sampled_from([0.5, 0.9, 1.0]))
    is_text[:, 0], is_text[:, 1] = False, True  # [CLS], and every example has a word
    return rng.integers(5, 300, shape), is_text, rng.random(shape) < 0.7, seed


SHARES = st.tuples(st.floats(0, 0.5), st.floats(0, 0.5))


@settings(deadline=None, max_examples=150)
@given(kind=st.sampled_from(MASKINGS), batch=batches(), rate=st.floats(0, 1), split=SHARES, exact=st.booleans())
def test_only_text_is_touched_and_labels_are_what_stood_there(kind, batch, rate, split, exact):
    ids, is_text, begins_word, seed = batch
    changed, positions, labels = masked(kind(rate, *split, exact), ids, text_of(is_text, begins_word), seed)
    flat = ids.reshape(-1)
    assert is_text.reshape(-1)[positions].all()
    assert np.array_equal(labels, flat[positions])
    assert np.array_equal(positions, np.unique(positions))
    elsewhere = np.delete(np.arange(ids.size), positions)
    assert np.array_equal(changed[elsewhere], flat[elsewhere])
    replaced = changed[positions][changed[positions] != labels]
    assert np.isin(replaced, np.append(VOCABULARY.words, MASK)).all()  # no special token, nothing from the gap


@settings(deadline=None, max_examples=150)
@given(kind=st.sampled_from(MASKINGS[1:]), batch=batches(), rate=st.floats(0.05, 0.9), exact=st.booleans())
def test_words_and_spans_are_taken_whole_and_end_with_their_piece(kind, batch, rate, exact):
    ids, is_text, begins_word, seed = batch
    text, masking = text_of(is_text, begins_word), kind(rate, exact=exact)
    unit = units(text, masking, seed, ids.shape)
    chosen = np.isin(text.position, masked(masking, ids, text, seed)[1])
    assert all(len({*chosen[unit == number]}) == 1 for number in range(unit[-1] + 1))
    word = np.cumsum(text.word_starts() | text.piece_starts())
    piece = np.cumsum(text.piece_starts())
    for number in range(unit[-1] + 1):
        inside = unit == number
        assert len({*piece[inside]}) == 1  # no span goes across a special token, or from row to row
        assert len({*word[inside]}) <= getattr(masking, "longest", 1)
        first, last = np.flatnonzero(inside)[[0, -1]]
        assert first == 0 or word[first] != word[first - 1]
        assert last == len(word) - 1 or word[last] != word[last + 1]


@settings(deadline=None, max_examples=100)
@given(batch=batches(), rate=st.floats(0, 1))
def test_exact_counts_are_reached_by_tokens_and_never_exceeded(batch, rate):
    ids, is_text, begins_word, seed = batch
    text = text_of(is_text, begins_word)
    wanted = np.maximum(1, np.rint(rate * is_text.sum(1))).astype(int) if rate else np.zeros(len(ids), dtype=int)
    for kind in MASKINGS:
        _, positions, _ = masked(kind(rate, exact=True), ids, text, seed)
        got = np.bincount(positions // ids.shape[1], minlength=len(ids))
        assert (got <= wanted).all()
        if kind is TokenMasking:
            assert np.array_equal(got, wanted)
        left = wanted - got  # every unit that is left out is longer than what is left
        unit = units(text, kind(rate), seed, ids.shape)
        sizes, chosen = np.bincount(unit), np.isin(text.position, positions)
        assert (sizes[unit[~chosen]] > left[text.examples()[~chosen]]).all()


@settings(deadline=None, max_examples=60)
@given(kind=st.sampled_from(MASKINGS), batch=batches(), exact=st.booleans())
def test_masks_of_a_row_depend_on_its_key_alone(kind, batch, exact):
    ids, is_text, begins_word, seed = batch
    masking = kind(0.3, exact=exact)
    whole = masked(masking, ids, text_of(is_text, begins_word), seed)[0].reshape(ids.shape)
    row = len(ids) // 2
    wider = [np.pad(a[row : row + 1], ((0, 0), (0, 7))) for a in (ids, is_text, begins_word)]
    changed = wider[0].reshape(-1).copy()
    masking(changed, text_of(*wider[1:]), random_bits(seed, np.array([row])), np.ones(1), VOCABULARY)
    assert np.array_equal(changed[: ids.shape[1]], whole[row])


@pytest.mark.parametrize("kind", MASKINGS)
def test_rates(kind):
    ids = np.full((2000, 128), 500)
    begins_word = np.random.default_rng(0).random(ids.shape) < 0.8
    text = text_of(np.ones_like(ids, dtype=bool), begins_word)
    for split in ((0.8, 0.1), (0.85, 0.0), (0.5, 0.3)):
        changed, positions, labels = masked(kind(0.15, *split), ids, text)
        assert len(positions) / ids.size == pytest.approx(0.15, abs=0.004)
        got = changed[positions]
        assert (labels == 500).all()
        assert (got == MASK).mean() == pytest.approx(split[0], abs=0.012)
        words = got[(got != MASK) & (got != 500)]
        assert len(words) / len(got) == pytest.approx(split[1], abs=0.012)
    # Random words come evenly from the whole vocabulary (here of the last split).
    counts = np.histogram(words, [5, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000])[0]
    present = np.array([95, 100, 100, 50, 100, 100, 100, 100, 100, 100])
    assert counts / len(words) == pytest.approx(present / present.sum(), abs=0.02)
    exact = len(masked(kind(0.15, exact=True), ids, text)[1]) / ids.size
    assert exact == pytest.approx(0.15, abs=0.004)


def lengths_in_words(masking, rows=3000, width=120):
    """Lengths of the units that do not end with the row."""
    is_text = np.ones((rows, width + 1), dtype=bool)
    is_text[:, 0] = False
    text = text_of(is_text)
    unit = units(text, masking, 3, is_text.shape)
    sizes = np.bincount(unit)
    return np.delete(sizes, unit[width - 1 :: width])


def test_spans_have_spanberts_lengths():
    sizes = lengths_in_words(SpanMasking())
    expected = 0.2 * 0.8 ** np.arange(10)
    # Spans that end with a row are left out, and the longer a span the likelier it is one: hence the tolerance.
    assert np.bincount(sizes, minlength=11)[1:] / len(sizes) == pytest.approx(expected / expected.sum(), abs=0.02)
    assert sizes.mean() == pytest.approx(3.8, abs=0.15)  # as the paper says


def test_ngrams_have_alberts_lengths():
    sizes = lengths_in_words(NgramMasking())
    assert np.bincount(sizes)[1:] / len(sizes) == pytest.approx(np.array([6, 3, 2]) / 11, abs=0.01)


def test_the_tokens_of_a_span_have_one_fate_and_those_of_a_word_their_own():
    ids = np.full((400, 100), 500)
    text = text_of(np.ones_like(ids, dtype=bool), np.tile([True, False], (400, 50)))  # words of two tokens
    for masking, together in ((SpanMasking(0.15), True), (WholeWordMasking(0.15), False)):
        changed, positions, _ = masked(masking, ids, text)
        hidden = changed[positions].reshape(-1, 2) == MASK
        assert (hidden[:, 0] == hidden[:, 1]).all() == together


def test_a_rate_that_changes():
    ids = np.full((1000, 128), 500)
    text = text_of(np.ones_like(ids, dtype=bool))
    masking = TokenMasking(RateSchedule([0, 0.5, 1], [0.3, 0.3, 0.1]))
    for progress, rate in ((0, 0.3), (0.5, 0.3), (0.75, 0.2), (1, 0.1)):
        assert len(masked(masking, ids, text, progress=progress)[1]) / ids.size == pytest.approx(rate, abs=0.005)


def test_words_of_a_vocabulary_with_gaps_and_special_tokens(small_data):
    words = ReplacementVocabulary.of(small_data.tokenizer).words
    assert sorted(words) == sorted(
        number for token, number in small_data.tokenizer.get_vocab().items() if not token.startswith("[")
    )


def test_words_of_a_vocabulary_whose_ids_have_gaps():
    special = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 90}
    tokenizer = Tokenizer(models.WordPiece({**special, "one": 7, "two": 50, "three": 99}, unk_token="[UNK]"))
    assert tokenizer.get_vocab_size() == 8
    assert vocabulary_size(tokenizer) == 100  # what the model's table must hold
    vocabulary = ReplacementVocabulary.of(tokenizer)
    assert (vocabulary.mask, vocabulary.words.tolist()) == (90, [7, 50, 99])


@pytest.mark.parametrize(
    ("kind", "wrong", "message"),
    [
        (TokenMasking, {"rate": 1.5}, "masking.rate=1.5"),
        (TokenMasking, {"rate": "often"}, "masking.rate=often"),
        (TokenMasking, {"mask_prob": -0.1}, "masking.mask_prob=-0.1"),
        (TokenMasking, {"mask_prob": 0.8, "random_prob": 0.3}, "must add up to 1 or less"),
        (NgramMasking, {"longest": 0}, "masking.longest=0"),
        (SpanMasking, {"p": 1.0}, "masking.p=1.0"),
        (RateSchedule, {"shares": [0, 1], "rates": [0.3]}, "must be pairs"),
        (RateSchedule, {"shares": [0, 0.9], "rates": [0.3, 0.1]}, "must start at 0, end at 1 and never decrease"),
        (RateSchedule, {"shares": [0, 1], "rates": [0.3, 1.1]}, "between 0 and 1"),
    ],
)
def test_values_that_cannot_be(kind, wrong, message):
    with pytest.raises(UserError, match=message):
        kind(**wrong)
