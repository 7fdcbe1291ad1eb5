"""Run `prepare` as a user types it: mistakes are reported, and leave no files."""

import json
import os

import pytest

from tests.conftest import sentences


@pytest.fixture
def files(tmp_path):
    """Small inputs in the working folder, good and bad."""
    documents = [" ".join(sentences(d, 8)) for d in range(30)]
    (tmp_path / "good.jsonl").write_text("".join(json.dumps({"text": text, "k": "a"}) + "\n" for text in documents))
    (tmp_path / "deep.jsonl").write_text('{"text": "a", "x": ' + "[" * 100_000 + "]" * 100_000 + "}\n")
    (tmp_path / "digits.jsonl").write_text('{"text": "a", "x": ' + "9" * 5000 + "}\n")
    (tmp_path / "open.csv").write_text("text,k\n" + '"never closed, a\n' * 300)
    (tmp_path / "latin.txt").write_bytes(b"A caf\xe9.\n\nAnother.\n")
    os.mkfifo(tmp_path / "fifo")
    return {path.name for path in tmp_path.iterdir()}


ROWS = ["data=rows", "data.corpus.path=good.jsonl", "tokenizer.vocab_size=300"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["tokenizer.vocab_size=10000000000000"], "tokenizer.vocab_size=10000000000000 must be from 1 to"),
        (["data.folder=''"], "data.folder='' must be text that is not empty"),
        (["data.folder=/"], "data.folder='/' must end in a name"),
        (["data.corpus.path=null"], "data.corpus.path=null must be text"),
        (["data.corpus.path=fifo"], "fifo is no regular file"),
        (["data.corpus.path=deep.jsonl"], "deep.jsonl:1: lists and objects are nested too deeply"),
        (["data.corpus.path=digits.jsonl"], "digits.jsonl:1: a number has more than 4300 digits"),
        (["data.corpus.path=open.csv"], ": a quote in this row is not closed"),
        (["data=sentences", "data.corpus.path=latin.txt"], "latin.txt is not UTF-8: byte 5 "),
        (["data.corpus.where=5"], "data.corpus.where=5 must be a mapping"),
        (["+data.corpus.where.nope=1"], "there is no column 'nope', only 'text', 'k': name the right one by"),
        (["data.corpus.text_column=null"], "data.corpus.text_column=null must be text"),
        (["shard=5", "shards=2"], "shard=5 must be 0 to 1, for shards=2"),
        (["shards=0"], "shards=0 must be 1 or more"),
        (["shards=2"], "shards=2: add one of shard=0 to shard=1 to prepare it, or merge=true to join all"),
        (["merge=true", "shards=2"], "1 of 1 parts are missing, of shard 0 of shards=2"),
        (["workers=-1"], "workers=-1 must be 1 or more"),
    ],
)  # fmt: skip
def test_mistakes_get_one_line_and_leave_nothing(wrong, message, command, files, tmp_path):
    code, _, errors = command("prepare", *ROWS, *wrong)
    assert code == 2
    assert errors.startswith("bert-lightning: error: ")
    assert message in errors
    assert errors.count("\n") == 1, errors
    assert {path.name for path in tmp_path.iterdir()} == files


def test_what_the_corpus_loses_is_one_note_each_time(command, tmp_path):
    (tmp_path / "hindi.txt").write_text("\n\n".join(f"अपने पोस्ट ऑफिस में पदों पर भर्ती {i}" for i in range(40)), "utf-8")
    options = [
        "data=sentences",
        "data.corpus.path=hindi.txt",
        "data.validation_fraction=0.2",
        "tokenizer.vocab_size=300",
    ]
    for _ in range(2):  # the second time from the store
        code, _, errors = command("prepare", *options)
        assert code == 0
        assert errors.startswith("note: the tokenizer drops 2")
        assert errors.count("\n") == 1
    code, output, errors = command("prepare", *options, "tokenizer=wordpiece_multilingual")
    assert (code, errors) == (0, "")
    assert "making a new store; data/sentences-" in output
