"""Properties of segment pairs, on real reviews where statistics are claimed."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bert_lightning.data.pretraining.pairs import SegmentPairs, SentenceOrderPairs
from bert_lightning.data.randomness import random_bits
from bert_lightning.data.store import index
from bert_lightning.data.store.token_store import TokenStore
from bert_lightning.errors import UserError
from tests.data.stores import documents, store_of, write_store


def document_of(store, tokens):
    sentence = np.searchsorted(store.sentences, tokens, side="right") - 1
    return np.searchsorted(store.documents, sentence, side="right") - 1


def all_pairs(pairs, epochs):
    indices = np.tile(np.arange(len(pairs)), epochs)
    return pairs.pairs(indices, random_bits(3, np.arange(len(indices))))


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
    batch = pairs.pairs(np.zeros(6000, dtype=np.int64), random_bits(5, np.arange(6000)))
    counts = np.bincount(document_of(store, batch.second[batch.label]), minlength=store.num_documents)
    own = document_of(store, np.array([store.sentences[pairs.chunks[0, 0]]]))[0]
    assert counts[own] == 0
    others = np.delete(counts, own)
    assert others.min() > 0.4 * others.mean()


def test_pairs_of_short_rooms(small_data):
    batch = all_pairs(SegmentPairs(small_data.train, 8), 20)
    assert (batch.first_length + batch.second_length).max() == 5
    assert min(batch.first_length.min(), batch.second_length.min()) >= 1


any_store = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
pairs_of_any_store = given(
    documents=documents.filter(lambda documents: any(len(d) > 1 for d in documents)),
    length=st.integers(8, 50),
    short=st.sampled_from([0.0, 0.1, 1.0]),
)


def inside_one(store, start, length):
    return np.array_equal(store.document_of(start), store.document_of(start + length - 1))


@any_store
@pairs_of_any_store
def test_segments_of_any_store(documents, length, short, tmp_path):
    store = store_of(tmp_path, documents)
    pairs = SegmentPairs(store, length, short)
    batch = all_pairs(pairs, 4)
    assert min(batch.first_length.min(), batch.second_length.min()) >= 1
    assert (batch.first_length + batch.second_length).max() <= length - 3
    assert inside_one(store, batch.first, batch.first_length)
    assert inside_one(store, batch.second, batch.second_length)
    assert np.array_equal(store.document_of(batch.first) != store.document_of(batch.second), batch.label)
    follows = ~batch.label
    assert (batch.second >= batch.first + batch.first_length)[follows].all()


@any_store
@pairs_of_any_store
def test_sentence_order_of_any_store(documents, length, short, tmp_path):
    store = store_of(tmp_path, documents)
    pairs = SentenceOrderPairs(store, length, short)
    batch = all_pairs(pairs, 4)
    assert min(batch.first_length.min(), batch.second_length.min()) >= 1
    assert (batch.first_length + batch.second_length).max() <= length - 3
    assert inside_one(store, batch.first, batch.first_length)
    assert np.array_equal(store.document_of(batch.first), store.document_of(batch.second))
    assert inside_one(store, batch.second, batch.second_length)
    in_order = batch.second >= batch.first + batch.first_length
    swapped = batch.first >= batch.second + batch.second_length
    assert np.array_equal(in_order, ~batch.label)
    assert np.array_equal(swapped, batch.label)


def test_half_are_swapped(reviews_data):
    batch = all_pairs(SentenceOrderPairs(reviews_data.train, 128), 2)
    assert batch.label.mean() == pytest.approx(0.5, abs=0.01)
    assert all_pairs(SentenceOrderPairs(reviews_data.train, 128, swap_prob=0.0), 1).label.sum() == 0


@any_store
@given(documents=documents, room=st.integers(8, 40))
def test_chunks_are_those_of_going_through_the_sentences_one_by_one(documents, room, tmp_path, monkeypatch):
    store = store_of(tmp_path, documents)
    expected, number = [], 0
    for document in documents:
        begin, stop = number, number + len(document)
        while begin < stop and len(document) > 1:
            end = begin
            while end < stop and (end < begin + 2 or store.sentences[end] - store.sentences[begin] < room - 3):
                end += 1
            expected.append((begin - (end - begin == 1), end))
            begin = end
        number = stop
    assume(expected)
    assert SentenceOrderPairs(store, room).chunks.tolist() == list(map(list, expected))
    monkeypatch.setattr(index, "_WINDOW", 2)
    assert SentenceOrderPairs(store_of(tmp_path / "bits", documents), room).chunks.tolist() == list(map(list, expected))


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
