"""Which documents validate: whole ones by a hash of their text; parts of them where there are too few."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_lightning.data.store.preparation import StorePlan, open_prepared, prepare
from bert_lightning.data.store.splitting import SplitByDocument, SplitWithinDocuments, choose_split
from bert_lightning.text.corpora import SentenceLines, TextFiles
from bert_lightning.text.tokenizers.recipes import TrainWordPiece
from tests.conftest import sentences


def corpus_of(path, documents):
    path.write_text("\n\n".join("\n".join(document) for document in documents), encoding="utf-8")
    return SentenceLines(str(path))


@given(st.lists(st.text("ab ", min_size=1, max_size=30), min_size=1, max_size=60), st.floats(0.01, 0.99))
def test_parts_of_a_document_are_all_of_it_in_order(document, fraction):
    train, validation = SplitWithinDocuments(fraction)(document)
    assert [sentence for piece in train + validation for sentence in piece] == document
    assert all(len(piece) > 1 for side in (train, validation) if sum(map(len, side)) > 1 for piece in side)
    wanted, longest = fraction * sum(map(len, document)), max(map(len, document))
    assert abs(sum(len(s) for piece in validation for s in piece) - wanted) <= longest / 2 + 1e-6


def test_one_long_document_trains_and_validates(tmp_path):
    """A novel without blank lines: the last part validates, and both sides have documents for sentence pairs."""
    (tmp_path / "novel.txt").write_text(" ".join(sentences(0, 240)), encoding="utf-8")
    plan, notes = StorePlan(TextFiles(str(tmp_path / "novel.txt")), TrainWordPiece(200), 0.05, tmp_path / "x"), []
    data = prepare(plan, lambda _: None, note=notes.append)
    assert data.train.counts() | {"tokens": 0} == {"documents": 8, "sentences": 228, "tokens": 0}
    assert data.validation.counts() | {"tokens": 0} == {"documents": 6, "sentences": 12, "tokens": 0}
    (note,) = notes
    assert "novel.txt: 1 document, too few" in note
    assert "the last 5.0% of each is for validation" in note
    prepare(plan, lambda _: None, note=notes.append)  # a store that exists says it again
    assert notes == [note, note]
    assert open_prepared(data.folder).notes == (note,)


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ([sentences(0, 100), sentences(1, 100)], SplitWithinDocuments),  # two books
        ([*(sentences(d, 4) for d in range(40)), sentences(40, 4000)], SplitWithinDocuments),  # a book among poems
        ([sentences(d, 10) for d in range(300)], SplitByDocument),
    ],
)
def test_how_a_corpus_is_divided(tmp_path, documents, expected):
    notes = []
    split = choose_split(corpus_of(tmp_path / "a.txt", documents), 0.05, notes.append)
    assert split == expected(0.05)
    assert len(notes) == (expected is SplitWithinDocuments)
    train, validation = (sum(len(s) for d in documents for piece in split(d)[side] for s in piece) for side in (0, 1))
    assert 0.02 < validation / (train + validation) < 0.12


def test_a_sentence_that_is_no_text_does_not_weigh(tmp_path):
    """A file in base64 at the end of a book is not the whole of validation."""
    split = choose_split(corpus_of(tmp_path / "a.txt", [[*sentences(0, 300), "QUJD" * 50_000]]), 0.2, lambda _: None)
    train, validation = split([*sentences(0, 300), "QUJD" * 50_000])
    assert isinstance(split, SplitWithinDocuments)
    assert 10 < sum(map(len, validation)) < 100
    assert sum(map(len, train)) > 200
