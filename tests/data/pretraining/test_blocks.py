"""Properties of blocks and of packed rows, for stores of any shape."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bert_lightning.data.pretraining.blocks import DocumentSentences, FullSentences, SingleSentences
from bert_lightning.data.pretraining.packing import PackedSequences, pack_best_fit
from bert_lightning.data.pretraining.pairs import SegmentPairs
from bert_lightning.data.pretraining.token_spans import assemble_rows
from bert_lightning.data.store import index
from bert_lightning.data.store.preparation import StorePlan, prepare
from bert_lightning.errors import UserError
from bert_lightning.text.corpora import TextFiles
from bert_lightning.text.tokenizers.recipes import LoadTokenizer
from tests.data.stores import FIRST, SPECIAL, documents, store_of

KINDS = [FullSentences, DocumentSentences, SingleSentences]
any_store = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rows_of(builder):
    """All rows of an epoch, and what stands in each: ids without padding, numbers of the examples."""
    rows = assemble_rows(builder(np.arange(len(builder)), np.zeros(len(builder), np.uint64)), builder.store, SPECIAL)
    examples = rows.examples.reshape(-1, rows.width)
    return rows, [(ids[n > 0], n[n > 0]) for ids, n in zip(rows.ids.reshape(examples.shape), examples, strict=True)]


@any_store
@given(kind=st.sampled_from(KINDS), documents=documents, length=st.integers(8, 40), lone=st.sampled_from([0.0, 0.3]))
def test_every_token_is_in_one_block_and_blocks_are_as_they_say(kind, documents, length, lone, tmp_path):
    store = store_of(tmp_path, documents)
    blocks = kind(store, length, lone)
    assert np.array_equal(
        np.concatenate([np.arange(*span) for span in blocks.token_ranges]), np.arange(len(store.tokens))
    )
    lengths = blocks.lengths(np.arange(len(blocks)))
    assert lengths.max() <= length
    for (ids, numbers), expected in zip(rows_of(blocks)[1], lengths, strict=True):
        assert len(ids) == expected
        assert (numbers == 1).all()
        assert ids[0] == SPECIAL.cls
        assert ids[-1] == SPECIAL.sep
        tokens = ids[ids >= FIRST] - FIRST
        of_document, of_sentence = store.document_of(tokens), store.sentence_of(tokens)
        # [SEP] stands where documents meet, and nowhere else
        pieces = np.split(ids[1:-1], np.flatnonzero(ids[1:-1] == SPECIAL.sep))
        assert len(pieces) == len({*of_document})
        assert all(len({*store.document_of(p[p >= FIRST] - FIRST)}) == 1 for p in pieces)
        if kind is DocumentSentences:
            assert len({*of_document}) == 1
        if kind is SingleSentences:
            assert len({*of_sentence}) == 1
        if len({*of_sentence}) > 1:  # sentences are whole
            assert tokens[0] in store.sentences
            assert tokens[-1] + 1 in store.sentences


@any_store
@given(kind=st.sampled_from(KINDS[:2]), documents=documents, length=st.integers(8, 40))
def test_a_block_ends_where_the_next_sentence_does_not_fit(kind, documents, length, tmp_path):
    store = store_of(tmp_path, documents)
    blocks = kind(store, length)
    for begin, end in blocks.token_ranges[:-1].tolist():
        following = store.sentences[store.sentence_of(end) + 1]
        met = store.document_of(end) - store.document_of(begin)
        if {begin, end} <= {*store.sentences.tolist()} and (kind is FullSentences or not met):
            assert following - begin + met + 2 > length  # a [SEP] where documents meet, [CLS] and [SEP]


@any_store
@given(kind=st.sampled_from(KINDS), documents=documents, length=st.integers(8, 40))
def test_indexes_do_not_depend_on_how_much_is_read_at_once(kind, documents, length, tmp_path, monkeypatch):
    whole = kind(store_of(tmp_path / "whole", documents), length, 0.2).token_ranges
    monkeypatch.setattr(index, "_WINDOW", 3)
    assert np.array_equal(kind(store_of(tmp_path / "bits", documents), length, 0.2).token_ranges, whole)


@any_store
@given(kind=st.sampled_from(KINDS), documents=documents, length=st.integers(8, 30), more=st.integers(0, 60))
def test_packed_rows_hold_every_block_once_and_fit(kind, documents, length, more, tmp_path):
    store = store_of(tmp_path, documents)
    packed = PackedSequences(store, partial(kind, max_length=length), length + more)
    blocks = kind(store, length)
    row, block = packed.members(np.arange(len(packed)))
    assert sorted(block) == list(range(len(blocks)))
    rows, contents = rows_of(packed)
    assert rows.width <= length + more
    assert rows.num_tokens == sum(sum(pattern.lengths) * pattern.rows for pattern in packed.patterns)
    for number, (ids, examples) in enumerate(contents):
        mine = block[row == number]
        assert sorted({*examples}) == list(range(1, len(mine) + 1))
        assert (np.diff(examples) >= 0).all()
        for example, which in enumerate(mine, 1):
            part = ids[examples == example]
            assert part[0] == SPECIAL.cls
            assert part[-1] == SPECIAL.sep
            assert np.array_equal(part[part >= FIRST] - FIRST, np.arange(*blocks.token_ranges[which]))


@settings(deadline=None, max_examples=100)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=200), more=st.integers(0, 100))
def test_best_fit_is_that_of_one_by_one(lengths, more):
    """The same number of rows as the plain algorithm, that looks through all open rows for each example."""
    capacity = max(lengths) + more
    patterns = pack_best_fit(np.bincount(lengths), capacity)
    assert sorted(n for p in patterns for _ in range(p.rows) for n in p.lengths) == sorted(lengths)
    assert all(sum(p.lengths) <= capacity and p.rows for p in patterns)
    rooms = []
    for length in sorted(lengths, reverse=True):
        fitting = [room for room in rooms if room >= length]
        if fitting:
            rooms.remove(min(fitting))
        rooms.append((min(fitting) if fitting else capacity) - length)
    assert sum(p.rows for p in patterns) == len(rooms)


def test_a_million_sequences_are_packed_at_once_and_densely():
    import time

    lengths = np.clip(np.random.default_rng(0).lognormal(5.3, 0.9, 1_000_000).astype(int), 8, 512)
    started = time.perf_counter()
    patterns = pack_best_fit(np.bincount(lengths), 512)
    seconds = time.perf_counter() - started
    assert lengths.sum() / (512 * sum(p.rows for p in patterns)) >= 0.995
    assert seconds < 2


def test_what_stands_together_in_the_text_does_not_in_a_row(tmp_path):
    store = store_of(tmp_path, [[14] * 400])
    packed = PackedSequences(store, partial(SingleSentences, max_length=16), 64)
    row, block = packed.members(np.arange(len(packed)))
    neighbours = np.abs(np.diff(block))[np.diff(row) == 0]
    assert (neighbours == 1).mean() < 0.05


def test_tables_are_made_once_beside_the_store_or_in_the_cache(tmp_path, monkeypatch):
    store = store_of(tmp_path / "store", [[5, 6], [7]])
    first = SingleSentences(store, 16)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "store" / "index").iterdir()}
    assert sorted(path.suffix for path in made) == [".i64", ".sha256"]
    assert np.array_equal(SingleSentences(store, 16).token_ranges, first.token_ranges)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store" / "index").iterdir()} == made
    # A place that cannot be written: here, because a file has its name
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "index").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    other = store_of(tmp_path / "shared", [[5, 6], [7]])
    assert np.array_equal(SingleSentences(other, 16).token_ranges, first.token_ranges)
    assert len(list((tmp_path / "cache" / "bert_lightning").iterdir())) == 2


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-7], lambda data: data[:-8], lambda data: data[::-1], lambda _: b"", None]
)
def test_a_damaged_table_is_made_again(tmp_path, damage):
    store = store_of(tmp_path / "store", [[5, 6], [7]])
    expected = SingleSentences(store, 16).token_ranges
    (path,) = (tmp_path / "store" / "index").glob("*.i64")
    data = path.read_bytes()
    path.unlink()  # `expected` is a view of it
    if damage is None:
        path.write_bytes(data)
        path.with_name(f"{path.name}.sha256").unlink()
    else:
        path.write_bytes(damage(data))
    assert np.array_equal(SingleSentences(store, 16).token_ranges, expected)


def test_what_cannot_be_packed(tmp_path):
    store = store_of(tmp_path, [[5, 6], [7, 8]])
    with pytest.raises(UserError, match=r"examples\.tokens=12 must be examples\.builder\.max_length=16 or more"):
        PackedSequences(store, partial(FullSentences, max_length=16), 12)
    with pytest.raises(UserError, match="SegmentPairs cannot be packed"):
        PackedSequences(store, partial(SegmentPairs, max_length=16), 64)
    with pytest.raises(UserError, match="max_length=7"):
        FullSentences(store, 7)
    with pytest.raises(UserError, match="single_sentence_prob=2"):
        FullSentences(store, 16, 2)


def test_full_sentences_of_real_books_are_packed_to_99_percent(test_data, tmp_path):
    corpus = TextFiles(str(test_data / "pretrain_en" / "gutenberg" / "[a-d]*.txt"))
    tokenizer = LoadTokenizer(str(test_data / "vocab" / "bert-base-uncased"))
    data = prepare(StorePlan(corpus, tokenizer, 0.5, tmp_path / "books"), say=lambda _: None)
    packed = PackedSequences(data.train, partial(FullSentences, max_length=512, single_sentence_prob=0.04), 512)
    assert rows_of(packed)[0].num_tokens / (512 * len(packed)) >= 0.99


MEMORY = """
import sys
from functools import partial
from pathlib import Path
import numpy as np
from bert_lightning.data.pretraining.blocks import FullSentences
from bert_lightning.data.pretraining.examples import PretrainingExamples
from bert_lightning.data.pretraining.masking import ReplacementVocabulary, WholeWordMasking
from bert_lightning.data.pretraining.packing import PackedSequences
from bert_lightning.data.pretraining.pairs import SegmentPairs
from bert_lightning.data.pretraining.phases import Phases
from bert_lightning.data.store.token_store import TokenStore
from bert_lightning.text.tokenizers.recipes import SpecialIds

store = TokenStore(Path(sys.argv[1]))
vocabulary = ReplacementVocabulary(4, np.arange(5, 1000))
packed = PackedSequences(store, partial(FullSentences, max_length=128, single_sentence_prob=0.1), 256)
for builder in (SegmentPairs(store, 128), packed):
    examples = PretrainingExamples(
        Phases.of(builder), WholeWordMasking(), SpecialIds(0, 1, 2, 3, 4), vocabulary, 0
    )
    for number in range(200):
        examples[range(64 * number, 64 * number + 64)]
status = Path("/proc/self/status").read_text()
print(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory of a process from /proc")
def test_memory_does_not_grow_with_the_store(tmp_path):
    """Anonymous memory, in MB: pages of mapped files are the system's to take back."""

    def megabytes(millions):
        folder = tmp_path / str(millions)
        folder.mkdir()
        tokens = millions * 10**6
        lengths = np.random.default_rng(0).integers(1, 40, tokens // 20)
        starts = np.append(np.cumsum(lengths) - lengths, lengths.sum())
        for name, width in (("tokens.bin", 2), ("words.bin", 1)):
            with (folder / name).open("wb") as file:
                file.truncate(width * int(starts[-1]))  # zeros, which take no place on the disk
        np.save(folder / "sentences.npy", starts)
        np.save(folder / "documents.npy", np.append(np.arange(0, len(lengths), 25), len(lengths)))
        run = subprocess.run([sys.executable, "-c", MEMORY, str(folder)], capture_output=True, text=True, check=True)
        return int(run.stdout) / 1000

    small, large = megabytes(5), megabytes(200)
    assert large < small + 40, (small, large)
