import json

import pytest

from bert_lightning.errors import UserError
from bert_lightning.text.files.rows import read_rows

ROWS = [{"a": 'say "hi"', "b": "1"}, {"a": "x, y", "b": "2"}]


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def values(path, **options):
    return [dict(row.values) for row in read_rows(path, **options)]


def test_every_format_gives_the_same_rows(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "t.parquet")
    files = [
        written(tmp_path / "t.csv", 'a,b\n"say ""hi""",1\n\n"x, y",2\n'),
        written(tmp_path / "t.tsv", '\ufeffa\tb\nsay "hi"\t1\nx, y\t2\n'),
        written(tmp_path / "t.jsonl", "\n".join(map(json.dumps, ROWS)) + "\n\n"),
        written(tmp_path / "t.json", json.dumps(ROWS)),
        written(tmp_path / "u.json", json.dumps({str(i): row for i, row in enumerate(ROWS)})),
        tmp_path / "t.parquet",
    ]
    for path in files:
        assert values(path) == ROWS, path


def test_files_without_a_header(tmp_path):
    path = written(tmp_path / "t.tsv", "5\tx\tmore\n6\ty\n")
    assert values(path, header=["score", "text"]) == [{"score": "5", "text": "x"}, {"score": "6", "text": "y"}]
    other = written(tmp_path / "u.tsv", "score\ttext\n7\tz\n")
    headers = {"t.tsv": ["score", "text"]}
    assert [values(p, header=headers)[-1]["score"] for p in (path, other)] == ["6", "7"]


def test_short_rows_are_left_out_where_that_is_asked_for(tmp_path):
    path = written(tmp_path / "t.tsv", "a\tb\n1\t2\nbroken\n3\t4\n")
    assert [row["b"] for row in values(path, leave_out_short=True)] == ["2", "4"]


def test_a_value_in_quotes_may_span_lines(tmp_path):
    path = written(tmp_path / "t.csv", 'a,b\n"one\ntwo",1\n')
    assert values(path) == [{"a": "one\ntwo", "b": "1"}]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "a,b\n1\n", r"t.csv:2: this row has 1 columns, not the 2 of the header"),
        ("t.tsv", "a\tb\n1\t2\t3\n", r"t.tsv:2: this row has 3 columns, not the 2"),
        ("t.jsonl", '{"a": 1}\n{"a"\n', r"t.jsonl:2: not JSON"),
        ("t.jsonl", "[1]\n", r"t.jsonl:1: a line must be a JSON object"),
        ("t.json", '[{"a": 1}, 2]', r"t.json, row 2 must be a JSON object with the columns, not a number: 2"),
        ("t.json", "{\n\n1}", r"t.json:3: not JSON"),
        ("t.json", "5", r"t.json must hold rows: a list of JSON objects, or one on each line; not a number: 5$"),
        ("t.json", "null", r"t.json must hold rows: .*; not null"),
        (
            "t.json",
            '[{"a": "\\\\ud83d"},\n{"a": "\\uD83D\\ude00\\uD83D."}]',
            r"t.json:2: '\\uD83D' is half a character",
        ),
        ("t.json", '{"data": [{"paragraphs": "\\ude00"}]}', r"t.json:1: '\\ude00' is half a character"),
        ("t.parquet", "hello", r"t.parquet is damaged, or not a .parquet file"),
        ("t.xls", "hello", "not from .xls"),
    ],
)
def test_what_is_wrong_is_named(name, text, message, tmp_path):
    with pytest.raises(UserError, match=message):
        values(written(tmp_path / name, text))


def test_a_missing_column_names_those_that_exist(tmp_path):
    (row,) = read_rows(written(tmp_path / "t.jsonl", '{"body": "x", "label": null}'))
    with pytest.raises(UserError, match=r"t.jsonl:1: there is no column 'text', only 'body', 'label'"):
        row.get("text")
    with pytest.raises(UserError, match=r"no value in column 'label' \(null\)"):
        row.get("label")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_number_is_no_value(number, tmp_path):
    (row,) = read_rows(written(tmp_path / "t.jsonl", f'{{"label": {number}}}'))
    with pytest.raises(UserError, match=rf"t.jsonl:1: no value in column 'label' \({float(number)}\): leave such rows"):
        row.get("label")


def test_a_whole_character_may_be_two_escapes(tmp_path):
    assert values(written(tmp_path / "t.json", '[{"a": "\\ud83d\\ude00 \\\\ud83d"}]')) == [{"a": "\U0001f600 \\ud83d"}]
