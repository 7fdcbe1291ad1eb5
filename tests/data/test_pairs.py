"""Properties of segment pairs, on real reviews where statistics are claimed."""

import numpy as np
import pytest

from bert_lightning.data.pairs import SegmentPairs
from bert_lightning.data.randomness import draw
from bert_lightning.data.store import TokenStore, write_store
from bert_lightning.errors import UserError


def document_of(store, tokens):
    sentence = np.searchsorted(store.sentences, tokens, side="right") - 1
    return np.searchsorted(store.documents, sentence, side="right") - 1


def all_pairs(pairs, epochs):
    indices = np.tile(np.arange(len(pairs)), epochs)
    return pairs.pairs(indices, draw(3, np.arange(len(indices))))


@pytest.fixture(scope="module")
def drawn(reviews_data):
    pairs = SegmentPairs(reviews_data.train, 128)
    return reviews_data.train, pairs, all_pairs(pairs, 4)


def test_half_of_the_pairs_are_random(drawn):
    _, _, batch = drawn
    assert len(batch.label) > 30_000
    assert batch.label.mean() == pytest.approx(0.5, abs=0.01)


def test_random_seconds_are_from_another_document_and_true_ones_follow(drawn):
    store, _, batch = drawn
    other = document_of(store, batch.first) != document_of(store, batch.second)
    assert np.array_equal(other, batch.label)
    # A true second segment begins where the first ends, but for what was cut between them.
    gap = (batch.second - batch.first - batch.first_length)[~batch.label]
    assert gap.min() == 0
    assert (gap == 0).mean() > 0.4


def test_segments_stay_inside_one_document_and_fit(drawn):
    store, pairs, batch = drawn
    for start, length in ((batch.first, batch.first_length), (batch.second, batch.second_length)):
        assert length.min() >= 1
        assert np.array_equal(document_of(store, start), document_of(store, start + length - 1))
    total = batch.first_length + batch.second_length
    assert total.max() == pairs.room == 125


def test_nothing_is_cut_from_pairs_that_fit(drawn):
    store, pairs, batch = drawn
    short = batch.first_length + batch.second_length < pairs.room
    assert np.isin(batch.first[short], store.sentences).all()
    assert np.isin((batch.second + batch.second_length)[short], store.sentences).all()


def test_short_sequences_are_a_tenth(reviews_data):
    store = reviews_data.train
    plain = all_pairs(SegmentPairs(store, 128, short_seq_prob=0.0), 1)
    short = all_pairs(SegmentPairs(store, 128, short_seq_prob=1.0), 1)
    assert np.mean(short.first_length + short.second_length) < 0.75 * np.mean(plain.first_length + plain.second_length)


def test_every_sentence_of_a_document_with_two_is_in_a_chunk(reviews_data):
    store = reviews_data.train
    covered = np.zeros(len(store.sentences) - 1, dtype=bool)
    for begin, end in SegmentPairs(store, 128).chunks:
        assert end - begin >= 2
        covered[begin:end] = True
    sizes = np.diff(store.documents)
    assert np.array_equal(covered, np.repeat(sizes >= 2, sizes))


def test_random_documents_are_spread_over_all_others(small_data):
    store = small_data.train
    pairs = SegmentPairs(store, 32)
    batch = pairs.pairs(np.zeros(6000, dtype=np.int64), draw(5, np.arange(6000)))
    counts = np.bincount(document_of(store, batch.second[batch.label]), minlength=store.num_documents)
    own = document_of(store, np.array([store.sentences[pairs.chunks[0, 0]]]))[0]
    assert counts[own] == 0
    others = np.delete(counts, own)
    assert others.min() > 0.4 * others.mean()


def test_pairs_of_short_rooms(small_data):
    batch = all_pairs(SegmentPairs(small_data.train, 8), 20)
    assert (batch.first_length + batch.second_length).max() == 5
    assert min(batch.first_length.min(), batch.second_length.min()) >= 1


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([["One.", "Two."]], "holds 1 document"),
        ([["One."], ["Two."], ["Three."]], "no document in .* has two sentences"),
    ],
)
def test_stores_without_pairs_are_refused(small_data, tmp_path, documents, message):
    write_store(tmp_path / "s", documents, small_data.tokenizer)
    with pytest.raises(UserError, match=message):
        SegmentPairs(TokenStore(tmp_path / "s"), 32)


def test_sequences_must_have_room(small_data):
    with pytest.raises(UserError, match="max_length=7"):
        SegmentPairs(small_data.train, 7)
