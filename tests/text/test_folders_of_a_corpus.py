"""Folders as a corpus: which files are read, which are skipped, and which of these are reported."""

import os

import pytest

from bert_lightning.data.store.preparation import StorePlan, prepare
from bert_lightning.errors import UserError
from bert_lightning.text.corpora import Mixture, SentenceLines, TableFiles, TextFiles
from bert_lightning.text.files.paths import resolve
from bert_lightning.text.tokenizers.recipes import TrainWordPiece
from tests.conftest import sentences


@pytest.fixture
def folder(tmp_path):
    """A folder as a Mac and wikiextractor leave it, with a picture and a table in it."""
    place = tmp_path / "corpus"
    for number, name in enumerate(("AA/wiki_00", "AA/wiki_01", "AB/wiki_00", "book.txt", "book.v2", "speech.tokens")):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("\n".join(sentences(number, 30)), encoding="utf-8")
    for name in (".DS_Store", "._book.txt", "AA/._wiki_00", ".git/config", "__MACOSX/._x"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"\x00\xff\xfe")
    (place / "cover.PNG").write_bytes(b"\x89PNG\xff")
    (place / "rows.jsonl.gz").write_bytes(b"x")
    return place


@pytest.mark.parametrize("layout", [SentenceLines, TextFiles])
def test_text_is_found_with_any_ending_or_none(folder, layout):
    corpus = layout(str(folder))
    names = [str(path.relative_to(folder)) for path in corpus.files()]
    assert names == ["AA/wiki_00", "AA/wiki_01", "AB/wiki_00", "book.txt", "book.v2", "speech.tokens"]
    assert [path.name for path in corpus.skipped()] == ["cover.PNG", "rows.jsonl.gz"]
    assert len(list(corpus)) == 6
    assert Mixture({"a": corpus}).skipped() == corpus.skipped()


def test_rows_are_found_beside_other_files(folder):
    (folder / "b.csv").write_text("text\nhello\n", encoding="utf-8")
    assert [path.name for path in TableFiles(str(folder)).files()] == ["b.csv", "rows.jsonl.gz"]
    assert len(TableFiles(str(folder)).skipped()) == 7


def test_what_is_skipped_is_said_once(folder, tmp_path):
    notes = []
    prepare(
        StorePlan(SentenceLines(str(folder)), TrainWordPiece(200), 0.2, tmp_path / "x"),
        lambda _: None,
        note=notes.append,
    )
    assert [note for note in notes if "ending" in note] == [
        "2 files of the corpus are not read because of their ending (.PNG, .jsonl)"
    ]


def test_a_file_that_is_named_is_read_whatever_its_ending(folder):
    assert SentenceLines(str(folder / "cover.PNG")).files() == [folder / "cover.PNG"]
    assert SentenceLines(str(folder / "*.PNG")).files() == [folder / "cover.PNG"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (None, "no file matches None: give a path, a folder or a glob that exists"),
        ("", "no file matches '': give"),
        (5, "no file matches 5: give"),
        ("{folder}/nothing", "no file matches .*nothing: give"),
        ("{folder}/AA/wiki_00/x", "no file matches .*wiki_00/x: give"),
        ("{folder}/pictures", r"pictures has no file of a kind that is read here, only .jpg: give"),
        ("{folder}/fifo", "fifo is no regular file: give"),
        ("~nobody-of-this-name/x", "does not say where that home folder is: write the path out"),
        ("pkg:..x/y", "names nothing in a package"),
        ("a\0b", "no file matches"),
        ("/", "is the working folder or the whole disk, not a corpus"),
        (".", "is the working folder or the whole disk, not a corpus"),
    ],
)
def test_paths_that_name_no_file(folder, pattern, message):
    (folder / "pictures").mkdir()
    (folder / "pictures" / "a.jpg").write_bytes(b"x")
    os.mkfifo(folder / "fifo")
    path = pattern.format(folder=folder) if isinstance(pattern, str) else pattern
    with pytest.raises(UserError, match=message):
        TextFiles(path).files()


def test_a_pipe_in_a_folder_is_not_waited_for(folder):
    os.mkfifo(folder / "fifo")
    assert folder / "fifo" not in resolve(str(folder))
