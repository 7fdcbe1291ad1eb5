"""Folders of runs whose files are valid JSON with values that no run writes: no traceback, and the rest is compared."""

import csv
import json
import subprocess
import sys

import pytest

from bert_lightning.compare import compare
from bert_lightning.compare.text_formats import as_text
from bert_lightning.errors import UserError
from tests.compare.run_folders import write_two_arms


@pytest.mark.parametrize(
    ("file", "keys", "value"),
    [
        ("summary.json", ["commit"], 7),
        ("summary.json", ["commit"], [1]),
        ("summary.json", ["best"], {}),
        ("summary.json", ["tokens"], 10**400),
        ("summary.json", ["throughput"], []),
        ("summary.json", ["parameters"], 1.5),
        ("summary.json", ["versions"], "2.0"),
        ("predictions/validation.json", ["metrics", "accuracy"], 10**400),
        ("predictions/validation.json", ["metrics", "accuracy"], "high"),
        ("predictions/validation.json", ["task_type"], []),
        ("predictions/validation.json", ["task"], {}),
        ("config.yaml", ["origin"], []),
        ("config.yaml", ["origin", "choices"], [1]),
        ("config.yaml", ["origin", "choices", "variant"], {"a": 1}),
        ("config.yaml", ["origin", "overrides"], 3),
        ("config.yaml", ["seed"], []),
        ("config.yaml", ["task"], []),
        ("config.yaml", ["encoder"], {"a": [1]}),
        ("config.yaml", ["model"], None),
    ],
)
def test_strange_values_are_no_traceback(tmp_path, file, keys, value):
    write_two_arms(tmp_path, seeds=(1, 2), examples=10)
    path = tmp_path / ("bert-1" if keys == ["parameters"] else "bert-1-tuned") / file
    whole = inner = json.loads(path.read_text())
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(whole))
    found = compare(tmp_path)
    assert "albert" in as_text(found)
    assert found.to_html()
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arm,seed,task,value\n", "has no row below its first line"),
        ("x" * 200_000 + "\n1\n", "line 1: field larger than field limit"),
        ("", "has no column arm"),
    ],
)
def test_a_csv_without_values_gives_one_line(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    before = csv.field_size_limit(131_072)  # Python's own; reading a corpus in this process may have raised it
    try:
        with pytest.raises(UserError, match=message) as error:
            compare(tmp_path / "t.csv")
    finally:
        csv.field_size_limit(before)
    assert "\n" not in str(error.value)


def test_a_table_is_compared_without_torch(tmp_path):
    (tmp_path / "t.csv").write_text("arm,seed,task,value\na,1,t,0\na,2,t,1\nb,1,t,1\nb,2,t,1\n")
    program = "import sys; from bert_lightning.compare import compare; compare('t.csv'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
