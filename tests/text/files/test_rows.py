"""Every format of tables, compressed and not, for a corpus and for a task; and what is wrong with a file."""

import bz2
import gzip
import io
import json
import lzma
import tracemalloc

import pyarrow
import pytest
from pyarrow import feather, parquet

from bert_lightning.data.labelled.sources import Files
from bert_lightning.errors import UserError
from bert_lightning.text.corpora import TableFiles
from bert_lightning.text.files import json_text, lines
from bert_lightning.text.files.rows import FORMATS, Row, read_rows, table_parts

ROWS = [{"text": f"Text {i}, he said. It has “two” sentences.", "kind": "ab"[i % 2]} for i in range(40)]
TABLE = pyarrow.Table.from_pylist(ROWS)
COMPRESSIONS = {"": lambda data: data, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def json_lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def delimited(separator, quote):
    rows = [("text", "kind"), *(tuple(row.values()) for row in ROWS)]
    return "".join(separator.join(f"{quote}{value}{quote}" for value in row) + "\n" for row in rows)


def arrow(writer):
    file = io.BytesIO()
    with writer(file, TABLE.schema) as sink:
        sink.write_table(TABLE, max_chunksize=7)
    return file.getvalue()


def written(write, **options):
    file = io.BytesIO()
    write(TABLE, file, **options)
    return file.getvalue()


CONTENTS = {
    "a.csv": delimited(",", '"'),
    "a.tsv": delimited("\t", ""),
    "a.jsonl": json_lines(ROWS),
    "a.ndjson": json_lines(ROWS),
    "lines.json": json_lines(ROWS),
    "list.json": json.dumps(ROWS),
    "indented.json": json.dumps(ROWS, indent=2),
    "object.json": json.dumps({f"row {i}": row for i, row in enumerate(ROWS)}, indent=1),
    "line.json": json.dumps({f"row {i}": row for i, row in enumerate(ROWS)}),
    "a.parquet": written(parquet.write_table, row_group_size=9),
    "a.arrow": arrow(pyarrow.ipc.new_file),
    "stream.arrow": arrow(pyarrow.ipc.new_stream),
    "a.feather": written(feather.write_feather, compression="uncompressed"),
}


def test_every_format_is_tested():
    assert {name[name.index(".") :] for name in CONTENTS} == set(FORMATS)


@pytest.mark.parametrize("ending", COMPRESSIONS)
@pytest.mark.parametrize("name", CONTENTS)
def test_every_format_serves_a_corpus_and_a_task(name, ending, tmp_path):
    content = CONTENTS[name]
    path = tmp_path / f"{name}{ending}"
    path.write_bytes(COMPRESSIONS[ending](content.encode() if isinstance(content, str) else content))
    sentences = [[f"Text {i}, he said.", "It has “two” sentences."] for i in range(40)]
    assert list(TableFiles(str(path), where={"kind": "b"})) == sentences[1::2]
    assert list(TableFiles(str(tmp_path))) == sentences
    rows = Files(str(path), where={"kind": "b"}).read("train")
    assert [dict(row.values) for row in rows] == ROWS[1::2]
    assert len({row.where for row in rows}) == 20  # places tell rows apart
    assert all(row.where.startswith(str(path)) for row in rows)


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("name", CONTENTS)
def test_a_compressed_file_that_is_damaged_is_named(name, ending, tmp_path):
    path = tmp_path / f"{name}{ending}"
    for data in (COMPRESSIONS[ending](b"x" * 1000)[:-20], b"something else"):
        path.write_bytes(data)
        with pytest.raises(UserError, match=rf"{name}{ending} is damaged, or not a {ending} file \(.*\): get it again"):
            list(read_rows(path))


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.feather"])
def test_a_compressed_file_that_holds_another_format_is_named(name, tmp_path):
    path = tmp_path / f"{name}.gz"
    path.write_bytes(gzip.compress(b"something else"))
    with pytest.raises(UserError, match=rf"{name}.gz is damaged, or not a .{name[2:]} file"):
        list(TableFiles(str(path)))


@pytest.mark.parametrize("name", ["A.CSV", "a.JSON.GZ", "a.Parquet"])
def test_endings_may_be_in_capitals(name, tmp_path):
    content = CONTENTS[{"A.CSV": "a.csv", "a.JSON.GZ": "list.json", "a.Parquet": "a.parquet"}[name]]
    data = content.encode() if isinstance(content, str) else content
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("GZ") else data)
    assert [dict(row.values) for row in read_rows(tmp_path / name)] == ROWS
    assert len(list(TableFiles(str(tmp_path)))) == 40


def test_json_lines_are_read_in_parts_and_a_list_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "PART_BYTES", 300)
    for name in ("lines.json", "list.json", "object.json"):
        (tmp_path / name).write_text(CONTENTS[name], encoding="utf-8")
    counts = [len(table_parts(tmp_path / name)) for name in ("lines.json", "list.json", "object.json")]
    assert counts[0] > 5
    assert counts[1:] == [1, 1]
    assert len(list(TableFiles(str(tmp_path / "lines.json")))) == 40


@pytest.mark.parametrize("chunk", [1, 7, 100])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_list_is_read_in_chunks_of_any_size(chunk, indent, tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "_CHUNK", chunk)
    rows = [*ROWS[:5], {"text": '\\ " ] } , \u00e9\U0001f600', "deep": [{"x": [1.5, -2e3, None, True]}]}, {}]
    for ascii_ in (True, False):
        (tmp_path / "a.json").write_text(json.dumps(rows, indent=indent, ensure_ascii=ascii_), encoding="utf-8")
        assert [dict(row.values) for row in read_rows(tmp_path / "a.json")] == rows
    (tmp_path / "a.json").write_text("\ufeff [ ]\n", encoding="utf-8")
    assert list(read_rows(tmp_path / "a.json")) == []


def test_memory_does_not_hold_a_list(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "_CHUNK", 2**12)
    (tmp_path / "a.json").write_text(json.dumps([{"text": "a film " * 100}] * 4000), encoding="utf-8")
    tracemalloc.start()
    assert sum(1 for _ in read_rows(tmp_path / "a.json")) == 4000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**19  # the file has 2.8 MB


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"a": 1},\n{"a": 2},\n{"a" 3}]', r"a.json:3: not JSON \(Expecting ':' delimiter at column 6\): fix it"),
        ('[{"a": 1},\n{"a": "2]\n', r"a.json:2: not JSON \(Invalid control character at column 10\)"),
        ('[{"a": 1}\n{"a": 2}]', r"a.json:2: not JSON \(expecting ',', found '{'\): fix it"),
        ('[{"a": 1}\n', r"a.json:2: not JSON \(expecting ',', found the end of the file\)"),
        ('[{"a": 1},]', r"a.json:1: not JSON \(Expecting value at column 11\)"),
        ('[{"a": 1}]\n[{"a": 2}]', r"a.json:2: something follows the end of the list: leave it out"),
        ('[{"a": 1},\n{"b": 1, "b": 2}]', r"a.json:2: the key 'b' occurs twice in the object"),
        ('[{"a": 1}, [2]]', r"a.json, row 2 must be a JSON object with the columns, not a list: \[2\]"),
        ('[{"a": ' + "[" * 100_000, r"a.json:1: lists and objects are nested too deeply"),
        ('[{"a": 1},\n{"a": ' + "7" * 5000 + "}]", r"a.json:2: a number has more than 4300 digits"),
        ('{"a": 1}\n{"a": \n', r"a.json:2: not JSON"),
        ('{"a": \n{"a": 1}\n', r"a.json:1: not JSON"),
        ('{"x": {"a": 1},\n"y": {"a" 2}}', r"a.json:2: not JSON"),
    ],
)
def test_json_that_is_broken_is_named_by_its_line(content, message, tmp_path, monkeypatch):
    for chunk in (3, 2**20):
        monkeypatch.setattr(lines, "_CHUNK", chunk)
        (tmp_path / "a.json").write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=message):
            list(read_rows(tmp_path / "a.json"))


def test_a_broken_list_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "_CHUNK", 100)
    (tmp_path / "a.json").write_text('[{"a" 1}' + ", " * 10_000, encoding="utf-8")
    (tmp_path / "b.json").write_text('[{"a": "' + "x" * 10_000, encoding="utf-8")
    monkeypatch.setattr(json_text, "_LONGEST_VALUE", 1000)
    with pytest.raises(UserError, match=r"a.json:1: not JSON"):
        list(read_rows(tmp_path / "a.json"))
    with pytest.raises(UserError, match=r"b.json:1: a row is longer than .*too long for memory: split it"):
        list(read_rows(tmp_path / "b.json"))


@pytest.mark.parametrize("start", ["[", '[{"a": "'])
def test_bytes_of_a_list_that_are_not_utf8_are_named(start, tmp_path, monkeypatch):
    for chunk in (1, 5, 2**20):
        monkeypatch.setattr(lines, "_CHUNK", chunk)
        (tmp_path / "a.json").write_bytes(f"{start}é".encode() + b"\xff")
        with pytest.raises(UserError, match=rf"a.json is not UTF-8: byte {len(start) + 2} "):
            list(read_rows(tmp_path / "a.json"))


def test_a_single_object_is_a_row(tmp_path):
    for content in ('{"text": "a", "n": 1}', '{\n"text": "a",\n"n": 1\n}\n'):
        (tmp_path / "a.json").write_text(content, encoding="utf-8")
        assert list(read_rows(tmp_path / "a.json")) == [Row(f"{tmp_path}/a.json:1", {"text": "a", "n": 1})]


@pytest.mark.parametrize(
    ("values", "wanted", "same"),
    [
        ({"x": True}, True, True), ({"x": "true"}, True, True), ({"x": "True"}, True, True),
        ({"x": False}, True, False),
        ({"x": 3}, "3", True), ({"x": "3"}, 3, True), ({"x": 3.5}, 3.5, True), ({"x": "b"}, "B", False),
    ],
)  # fmt: skip
def test_rows_are_chosen_by_values_as_texts(values, wanted, same):
    assert Row("f:1", values).has({"x": wanted}, "data.corpus.where") is same
    with pytest.raises(UserError, match=r"f:1: there is no column 'y', only 'x': name the right one by data.cor"):
        Row("f:1", values).has({"y": 1}, "data.corpus.where")


def test_a_text_is_no_table(tmp_path):
    (tmp_path / "a.txt").write_text("Text.\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"a.txt is a text, not a table: read it by data=documents or data=sentences"):
        list(TableFiles(str(tmp_path / "a.txt")))
    assert list(read_rows(tmp_path / "a.txt")) == []  # a task reads it as .tsv: GLUE has such files
