"""Rows of CSV, TSV, JSONL and columnar files, read for pretraining and for tasks alike."""

import json

import pyarrow
import pytest
from pyarrow import parquet

from bert_lightning.errors import UserError
from bert_lightning.text.corpora import TableFiles
from bert_lightning.text.files.paths import resolve
from bert_lightning.text.files.rows import read_rows
from bert_lightning.text.files.tables import read_delimited


@pytest.fixture
def read(tmp_path):
    """Read a file of this name and content: the place and the values of its rows."""

    def rows(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return [(row.where.removeprefix(f"{tmp_path}/"), dict(row.values)) for row in read_rows(path)]

    return rows


STRAY = "text,label\na good film,pos\n" + '"great film she said,pos\n' + "a bad film,neg\n" * 3
BROKEN = [
    # A quote that is not closed would swallow the rows after it.
    ("a.csv", STRAY, r"a.csv:3: a quote in this row is not closed .* until line 6\): close it, or write \"\" for"),
    ("a.csv", STRAY + '"nice" story,neg\na film,pos\n', r"a.csv:3: a quote in this row is not closed .* line 7\)"),
    ("a.csv", 'text,label\na film,pos\n"nice" story,neg\n', r"a.csv:3: this row is not CSV .*put the whole value in"),
    ("a.csv", 'text,label\na film,"pos\n', r"a.csv:2: a quote in this row is not closed"),
    ("a.csv", '"text,label\na film,pos\n', r"a.csv:1: a quote in this row is not closed"),
    ("a.csv", "text,label\na\rb,pos\n", r"a.csv:2: a carriage return stands inside this line: save the file with"),
    ("a.csv", 'text,label\n"one\ntwo",pos\nfilm, good,pos\n', r"a.csv:4: this row has 3 columns, not the 2 of the"),
    (
        "a.csv",
        "text,label\nfilm\n",
        r"a.csv:2: this row has 1 columns, not the 2 of the header: fix it, or put",
    ),
    (
        "a.tsv",
        'text\tlabel\n"a film\tpos\textra\n',
        r"a.tsv:2: this row has 3 columns, not the 2 of the .*: fix it$",
    ),
    # Of two columns with one name, a row could keep one value only.
    ("a.csv", "text,label,label\na,pos,x0\n", r"a.csv:1: two columns are named 'label': rename one"),
    ("a.tsv", "text\ttext\na\tb\n", r"a.tsv:1: two columns are named 'text': rename one"),
    ("a.jsonl", '{"text": "a"}\n{"label": 1, "label": 2}\n', r"a.jsonl:2: the key 'label' occurs twice in the object"),
    ("a.jsonl", '{"x": {"y": 1, "y": 1}}\n', r"a.jsonl:1: the key 'y' occurs twice in the object \{'y': 1\}: leave"),
    # More than Python's reader takes.
    ("a.jsonl", '{"text": "a"}\n{"text": ' + "[" * 100_000 + "\n", r"a.jsonl:2: lists and objects are nested too deep"),
    ("a.jsonl", '{"text": ' + "7" * 5000 + "}\n", r"a.jsonl:1: a number has more than 4300 digits: write it as text"),
    ("a.jsonl", '{"text": "\\ud83d"}\n', r"a.jsonl:1: '\\ud83d' is half a character: fix it"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN)
def test_a_row_that_cannot_be_read_is_named_by_its_first_line(name, content, message, read):
    with pytest.raises(UserError, match=message):
        read(name, content)


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        # The line is that where the row begins; blank lines count and are no rows.
        ("a.csv", '\n\ntext,label\n\n"one\ntwo, ""three""",x\nfour,y\n',
         [("a.csv:5", {"text": 'one\ntwo, "three"', "label": "x"}), ("a.csv:7", {"text": "four", "label": "y"})]),
        ("a.csv", 'text,label\r\n5" screen,x\r\n', [("a.csv:2", {"text": '5" screen', "label": "x"})]),
        ("a.tsv", '\ufefftext\tlabel\n"open\tx\na\rb\ty\n',
         [("a.tsv:2", {"text": '"open', "label": "x"}), ("a.tsv:3", {"text": "a\rb", "label": "y"})]),
        # NEL and U+2028 do not end a line.
        ("a.csv", "text,label\na\x85b\u2028c,x\n", [("a.csv:2", {"text": "a\x85b\u2028c", "label": "x"})]),
        # Columns without a name cannot be asked for; pandas writes one for its index.
        ("a.csv", ",text,\n0,film,7\n", [("a.csv:2", {"text": "film"})]),
        ("a.csv", "text,label\n", []),
        ("a.csv", "", []),
    ],
)  # fmt: skip
def test_rows_and_their_places(name, content, rows, read):
    assert read(name, content) == rows


def test_a_parquet_file_with_two_columns_of_one_name(tmp_path):
    table = pyarrow.table([["a"], ["x"], ["y"]], names=["text", "label", "label"])
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a.parquet: two columns are named 'label': rename one"):
        list(read_rows(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["one", "two"], r"a.jsonl:2: column 'text' must hold one text, not a list: \['one', 'two'\]"),
        ({"en": "one"}, r"a.jsonl:2: column 'text' must hold one text, not an object: \{'en': 'one'\}"),
        (None, r"a.jsonl:2: no value in column 'text' \(null\): leave such rows out"),
        (float("nan"), r"a.jsonl:2: no value in column 'text' \(nan\)"),
        (float("inf"), r"a.jsonl:2: no value in column 'text' \(inf\)"),
    ],
)
def test_what_is_no_text_does_not_become_one(value, message, tmp_path):
    rows = [{"text": "A film.", "tags": [1]}, {"text": value}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        list(TableFiles(str(tmp_path / "a.jsonl")))


def test_nested_columns_of_parquet_are_no_texts(tmp_path):
    parquet.write_table(pyarrow.table({"text": [["a", "b"]], "label": [{"x": 1}]}), tmp_path / "a.parquet")
    with pytest.raises(
        UserError, match=r"a.parquet, row 1: column 'text' must hold one text, not a list: \['a', 'b'\]"
    ):
        list(TableFiles(str(tmp_path / "a.parquet")))


def test_a_path_that_exists_is_no_pattern(tmp_path):
    for name in ("a[1].csv", "a1.csv", "b1.csv", "c*.csv", "cc.csv"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "data[1]").mkdir()
    (tmp_path / "data[1]" / "x.csv").write_text("x", encoding="utf-8")

    def found(pattern):
        return [str(path.relative_to(tmp_path)) for path in resolve(str(tmp_path / pattern))]

    assert found("a[1].csv") == ["a[1].csv"]
    assert found("b[1].csv") == ["b1.csv"]
    assert found("c*.csv") == ["c*.csv"]
    assert found("data[1]") == ["data[1]/x.csv"]
    assert found("[ab]1.csv") == ["a1.csv", "b1.csv"]


def test_semicolons_between_columns_are_named(tmp_path):
    (tmp_path / "excel.csv").write_text("text;label\nthe cat, 0;neg\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"excel.csv:1: semicolons separate the columns: save the table with commas"):
        list(read_delimited(tmp_path / "excel.csv", tabs=False))
