"""Compressed, columnar and hub sources, and the errors for damaged ones."""

import bz2
import gzip
import json
import lzma
import time

import pyarrow
import pytest
from pyarrow import parquet

from bert_lightning.errors import UserError
from bert_lightning.text import corpora
from bert_lightning.text.corpora import SentenceLines, TableFiles, TextFiles
from bert_lightning.text.files import columnar, lines
from bert_lightning.text.hub import HubDataset

ROWS = [{"text": f"Text {i} is here. It has two sentences.", "kind": "ab"[i % 2], "number": i} for i in range(50)]
DOCUMENTS = [[f"Text {i} is here.", "It has two sentences."] for i in range(50)]


@pytest.mark.parametrize(("ending", "module"), [("gz", gzip), ("bz2", bz2), ("xz", lzma)])
def test_compressed_rows(tmp_path, ending, module):
    path = tmp_path / f"a.jsonl.{ending}"
    with module.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in ROWS)
    assert list(TableFiles(str(path))) == DOCUMENTS
    data = path.read_bytes()
    for damaged in (data[: len(data) // 2], b"no such thing" + data[13:]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=rf"a.jsonl.{ending} is damaged, or not a .{ending} file"):
            list(TableFiles(str(path)))


def test_a_compression_that_is_not_read(tmp_path):
    (tmp_path / "a.txt.zst").write_bytes(b"x")
    with pytest.raises(UserError, match=r"a.txt.zst: .zst is not read; decompress it"):
        list(SentenceLines(str(tmp_path / "a.txt.zst")))


def test_parquet_by_row_groups(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path, row_group_size=7)
    monkeypatch.setattr(columnar, "PART_BYTES", 500)
    corpus = TableFiles(str(path), where={"kind": "b"})
    assert len(corpus.parts()) > 2
    assert list(corpus) == DOCUMENTS[1::2]
    with pytest.raises(UserError, match=r"a.parquet has no column 'body', only 'text', 'kind', 'number'"):
        list(TableFiles(str(path), "body"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"a.parquet is damaged"):
        TableFiles(str(path)).parts()


@pytest.mark.parametrize("writer", [pyarrow.ipc.new_file, pyarrow.ipc.new_stream])
def test_arrow_with_and_without_an_index(tmp_path, writer):
    table = pyarrow.Table.from_pylist(ROWS)
    with writer(str(tmp_path / "a.arrow"), table.schema) as file:
        file.write_table(table, max_chunksize=9)
    assert list(TableFiles(str(tmp_path / "*.arrow"), where={"number": "3"})) == [DOCUMENTS[3]]


def test_large_jsonl_is_cut_at_line_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "PART_BYTES", 300)
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    assert len(TableFiles(str(path)).parts()) > 5
    assert list(TableFiles(str(path))) == DOCUMENTS


def test_half_a_character_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "A whole one: \\ud83d\\ude00."}\n{"text": "Half: \\ud83d."}\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"a.jsonl:2: '\\ud83d' is half a character"):
        list(TableFiles(str(path)))


def test_many_small_files_are_one_part(tmp_path):
    for i in range(20):
        (tmp_path / f"{i:02}.txt").write_text(f"Text {i} is here. It has two sentences.", encoding="utf-8")
    corpus = TextFiles(str(tmp_path))
    assert len(corpus.parts()) == 1
    assert list(corpus) == DOCUMENTS[:20]


def test_documents_that_begin_at_a_heading(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(
        " \n = One = \n \n First text . \n = = Part = = \n More . \n = Two = \n \n Second . \n", encoding="utf-8"
    )
    documents = list(TextFiles(str(path), document_start="^ = [^=]+ = $"))
    assert [" ".join(document) for document in documents] == [
        "= One = First text . = = Part = = More .",
        "= Two = Second .",
    ]
    with pytest.raises(UserError, match=r"document_start=\( is not a regular expression"):
        TextFiles(str(path), document_start="(")


def test_what_is_too_long_for_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "LONGEST_DOCUMENT", 100)
    path = tmp_path / "a.txt"
    path.write_text("".join(f"Sentence number {i:04}.\n" for i in range(100)), encoding="utf-8")
    documents = list(SentenceLines(str(path)))
    assert len(documents) > 15
    assert max(sum(map(len, document)) for document in documents) < 150
    assert [sentence for document in documents for sentence in document] == [
        f"Sentence number {i:04}." for i in range(100)
    ]
    monkeypatch.setattr(lines, "_LONGEST_LINE", 50)
    path.write_text("short\n" + "x" * 60, encoding="utf-8")
    with pytest.raises(UserError, match=r"a.txt: the line at byte 6 is longer than"):
        list(SentenceLines(str(path)))


def test_without_a_network_a_hub_source_ends_at_once(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    begin = time.monotonic()
    with pytest.raises(
        UserError, match=r"no network: some/thing needs the hub; .* data.corpus.path='/data/\*.parquet'"
    ):
        HubDataset("some/thing").parts()
    assert time.monotonic() - begin < 3


def test_the_same_preset_reads_files(tmp_path):
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    corpus = HubDataset("some/thing", path=str(tmp_path / "*.parquet"))
    assert list(corpus) == DOCUMENTS
    assert corpus.files() == [tmp_path / "a.parquet"]


@pytest.mark.filterwarnings("ignore")
def test_shards_of_a_data_set_are_streamed(tmp_path):
    for shard in range(2):
        rows = ROWS[shard * 25 : shard * 25 + 25]
        (tmp_path / f"{shard}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    corpus = HubDataset(str(tmp_path))
    assert [part.start for part in corpus.parts()] == [0, 1]
    assert list(corpus) == DOCUMENTS
    with pytest.raises(
        UserError,
        match=r"has no column 'body', only 'text', 'kind', 'number': name the right one by data.corpus.text_column",
    ):
        list(HubDataset(str(tmp_path), text_column="body"))


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    """The tests may run as root, who may read everything: so the refusal is made here."""

    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    (tmp_path / "a.txt").write_text("Text.")
    corpora_read = [TableFiles(str(tmp_path / "a.parquet")), SentenceLines(str(tmp_path / "a.txt"))]
    monkeypatch.setattr("pyarrow.parquet.ParquetFile", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr("pathlib.Path.open", refuse)
    for corpus in corpora_read:
        with pytest.raises(PermissionError, match="Permission denied"):  # the command line makes it one line
            list(corpus)
