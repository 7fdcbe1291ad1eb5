"""The output of `predict` has one record per input line, and an error names the number of its line."""

import gzip
import io
import json
import sys
from itertools import chain
from pathlib import Path

import pytest

import bert_lightning
from bert_lightning import cli


@pytest.fixture(scope="module")
def runs(small_corpus, tmp_path_factory):
    """A pretrained run and one that classifies pairs, made once: their folders."""
    folder = tmp_path_factory.mktemp("runs")
    rows = [{"text": f"the cat {i}", "text_pair": "a dog", "label": "ab"[i % 2]} for i in range(10)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    common = ["debug=smoke", "callbacks.progress=null", "batch_size=4"]
    first = [
        "pretrain", "name=first", "data=sentences", f"data.corpus.path={small_corpus}", f"data.folder={folder}/data",
        "data.validation_fraction=0.2", "tokenizer.vocab_size=400", "model=tiny", "model.hidden_size=32",
        "model.intermediate_size=64",
    ]  # fmt: skip
    pairs = ["finetune", "name=pairs", "task=text_pair", f"task.path={folder}/pairs.jsonl", "encoder=runs/first"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for arguments in (first, pairs):
            patch.setattr(sys, "argv", ["bert-lightning", *arguments, *common])
            cli.main()
    return {name: f"run={folder}/runs/{name}" for name in ("first", "pairs")}


@pytest.fixture
def ask(command, runs, monkeypatch, tmp_path):
    """Run `predict` with bytes on standard input: exit code, lines of output and of errors, and the records."""

    def run(name, given, *arguments):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), encoding="ascii"))
        path = tmp_path / "out.jsonl"
        code, output, errors = command("predict", runs[name], f"output={path}", *arguments)
        records = (
            [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]] if path.exists() else []
        )
        return code, output.splitlines(), [e for e in errors.splitlines() if not e.startswith("# ")], records

    return run


LINES = (
    b"\xef\xbb\xbfthe cat ||| a dog\r\n\na cat\ncaf\xe9 ||| x\n"
    b"a\rb ||| a\xe2\x80\xa8dog\n   \nc ||| \nthe end ||| a dog"
)


@pytest.mark.parametrize("source", [[], ["file=-"], ["batch_size=3"]])
def test_a_bad_line_is_named_and_the_others_are_answered(source, ask):
    code, _, errors, records = ask("pairs", LINES, *source)
    assert code == 2
    assert [record["id"] for record in records] == [str(i) for i in range(8)]
    assert [record["answer"] is not None for record in records] == [True, False, False, False, True, False, False, True]
    assert records[0]["text"] == "the cat"
    assert (records[4]["text"], records[4]["text_pair"]) == ("a\rb", "a\u2028dog")
    assert [number for number, record in enumerate(records, 1) if "error" in record] == [3, 4, 7]
    assert [error.partition(" |||")[0] for error in errors] == [
        "bert-lightning: error: line 3: 'a cat' has 1 parts: write TEXT",
        r"bert-lightning: error: line 4: 'caf\udce9",
        "bert-lightning: error: line 7: 'c",
    ]
    assert "is not UTF-8: convert it" in errors[1]
    assert "has an empty part: write TEXT ||| TEXT_PAIR" in errors[2]
    assert records[2]["error"] == "'a cat' has 1 parts: write TEXT ||| TEXT_PAIR (or tabs between them)"


def test_lines_of_output_belong_to_lines_of_input(ask):
    code, output, _, records = ask("pairs", b"the cat ||| a dog\n\nbad\n\na cat ||| x\n")
    assert code == 2
    assert len(output) == len(records) == 5
    assert [line.rpartition("\t")[2] for line in output] == ["a dog", "", "(not answered)", "", "x"]


def test_python_gives_what_the_command_gives(ask, runs):
    lines = ["the [MASK] sleeps", "[MASK] and a dog and [MASK]"]
    records = ask("first", "\n".join(lines).encode(), "top_k=2")[3]
    filled = bert_lightning.load(runs["first"].removeprefix("run=")).fill_mask(lines, top_k=2)
    for one, other in zip(filled, records, strict=True):
        assert one["text"] == other["text"]
        for found, expected in zip(chain(*one["masks"]), chain(*other["masks"]), strict=True):
            assert found == {**expected, "probability": pytest.approx(expected["probability"], rel=1e-5)}
    (record,) = ask("pairs", b"the cat ||| a dog")[3]
    classified = bert_lightning.load(runs["pairs"].removeprefix("run=")).classify(("the cat", "a dog"))
    assert classified == {key: record[key] for key in ("answer", "probabilities")}


def test_a_line_without_a_mask_is_named(ask):
    code, _, errors, records = ask(
        "first", b"the [MASK] sleeps\nthe cat\n\na [MASK] " + b"cat " * 200 + b"\n", "top_k=1"
    )
    assert code == 2
    assert errors == [
        "bert-lightning: error: line 2: 'the cat' has no [MASK] to fill in: write [MASK] where a word is missing"
    ]
    assert [len(record["masks"]) for record in records] == [1, 0, 0, 1]
    assert [record["text"] for record in records[:3]] == ["the [MASK] sleeps", None, None]


@pytest.mark.parametrize(
    ("given", "arguments", "message"),
    [
        (b"", [], "standard input is empty: there is nothing to answer"),
        (b"", ["file=-"], "standard input is empty: there is nothing to answer"),
        (b"", ["file=empty.txt"], "file=empty.txt is empty: there is nothing to answer"),
        (b"", ["file=empty.jsonl"], "file=empty.jsonl is empty: there is nothing to answer"),
        (b"", ["file=."], "file=. is a folder: give a file"),
        (b"", ["file=nowhere.txt"], "file=nowhere.txt does not exist"),
        (b"", ["a ||| b", "   "], "text 2 of 2 is empty: give a text, or leave it out"),
        (b"", [""], "text 1 of 1 is empty: give a text, or leave it out"),
        (b"", ["a ||| b", "file=empty.txt"], "texts and file=... are both given: give only one of them"),
        (b"", ["a ||| b", "alone"], "'alone' has 1 parts: write TEXT ||| TEXT_PAIR (or tabs between them)"),
        (b"", ["file=list.jsonl"], "list.jsonl:2: column 'text' must hold one text, not a list: ['x', 'y']"),
        (b"", ["file=deep.jsonl"], "deep.jsonl:1: lists and objects are nested too deeply to be read: flatten them"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_gets_one_line(given, arguments, message, ask, tmp_path):
    for name in ("empty.txt", "empty.jsonl"):
        (tmp_path / name).write_text("", encoding="utf-8")
    rows = [{"text": "a", "text_pair": "b"}, {"text": ["x", "y"], "text_pair": "b"}]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "deep.jsonl").write_text("[" * 100_000 + "\n", encoding="utf-8")
    code, output, errors, records = ask("pairs", given, *arguments)
    assert (code, output, records) == (2, [], [])
    assert errors == [f"bert-lightning: error: {message}"]


def test_empty_lines_alone_keep_their_places(ask):
    code, output, errors, records = ask("pairs", b"\n  \n")
    assert (code, output, errors) == (0, ["", ""], [])
    assert records == [{"id": "0", "answer": None}, {"id": "1", "answer": None}]


@pytest.mark.parametrize("name", ["config.yaml", "tokenizer.json", "checkpoints/best.ckpt"])
def test_files_of_a_run_are_not_written_over(name, runs, command):
    run = Path(runs["pairs"].removeprefix("run="))
    before = (run / name).read_bytes()
    code, output, errors = command("predict", runs["pairs"], "a ||| b", f"output={run / name}")
    assert (code, output) == (2, "")
    assert f"output={run / name} is a file of the run {run}: choose another output=..." in errors
    assert (run / name).read_bytes() == before


def test_the_input_is_not_written_over(runs, command, tmp_path):
    (tmp_path / "in.txt").write_text("a ||| b\n", encoding="utf-8")
    (tmp_path / "link.txt").symlink_to("in.txt")
    for output in ("in.txt", "link.txt"):
        code, _, errors = command("predict", runs["pairs"], "file=in.txt", f"output={output}")
        assert code == 2
        assert f"output={output} is the file that is read" in errors
    assert (tmp_path / "in.txt").read_text(encoding="utf-8") == "a ||| b\n"


def test_a_compressed_table_is_read_by_its_columns(runs, command, tmp_path):
    with gzip.open(tmp_path / "rows.csv.gz", "wt") as file:
        file.write("text,text_pair\na,b\n")
    (tmp_path / "rows.csv").write_text("text,text_pair\na,b\n", encoding="utf-8")
    code, output, errors = command("predict", runs["pairs"], "file=rows.csv.gz")
    assert code == 0, errors
    assert output == command("predict", runs["pairs"], "file=rows.csv")[1]


def test_a_home_folder_is_meant_by_a_tilde(runs, command, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    code, _, errors = command("predict", runs["pairs"], "a ||| b", 'output="~/out.jsonl"')
    assert code == 0, errors
    assert (tmp_path / "home" / "out.jsonl").exists()
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("override", ["task.path=rows.csv", "task={path:rows.csv}"])
def test_a_key_of_a_task_that_is_not_chosen_says_so(override, runs, command):
    code, _, errors = command("evaluate", runs["pairs"], override)
    assert code == 2
    assert errors == f"bert-lightning: error: {override}: no task is chosen: add task=<option>\n"
