"""Folders of runs whose files are valid JSON with values that no run writes: no traceback, and the rest is compared."""

import json

import pytest

from bert_lightning.compare import compare
from bert_lightning.compare.text_formats import as_text
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
