"""`evaluate` over several checkpoints: which ones, the table, and a damaged one among them."""

import json
import shutil

import pytest

from bert_lightning.data.labelled.minimal_pairs import MinimalPairs
from bert_lightning.errors import UserError
from bert_lightning.tasks import tokenized_examples
from bert_lightning.tasks.checkpoint_choice import asks_for_several, checkpoint_locations


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two runs, one of them in a sweep's folder, and a folder of another program."""
    monkeypatch.chdir(tmp_path)
    for run, files in (("pre-a", ("step-20.ckpt", "step-100.ckpt", "best.ckpt")), ("pre-sweep/0", ("step-5.ckpt",))):
        (tmp_path / "runs" / run / "checkpoints").mkdir(parents=True)
        (tmp_path / "runs" / run / "config.yaml").touch()
        for file in files:
            (tmp_path / "runs" / run / "checkpoints" / file).touch()
    (tmp_path / "runs" / "pre-hf").mkdir()
    (tmp_path / "runs" / "pre-hf" / "config.json").touch()
    (tmp_path / "runs" / "notes").mkdir()


A, SWEEP, HF = "runs/pre-a", "runs/pre-sweep/0", "runs/pre-hf"


@pytest.mark.parametrize(
    ("run", "checkpoints", "expected"),
    [
        (A, None, [A]),
        (A, "last", [f"{A}/checkpoints/last.ckpt"]),
        ("hub:owner/name", "best", ["hub:owner/name"]),
        (A, "all", [f"{A}/checkpoints/{name}.ckpt" for name in ("step-20", "step-100", "best")]),
        ("runs/*", None, [A, HF, SWEEP]),
        (["runs/pre-*", A], "best", [f"{A}/checkpoints/best.ckpt", HF, f"{SWEEP}/checkpoints/best.ckpt"]),
        ("runs/*/checkpoints/s*.ckpt", None, [f"{A}/checkpoints/step-100.ckpt", f"{A}/checkpoints/step-20.ckpt"]),
    ],
)
def test_the_checkpoints_that_are_meant(folders, run, checkpoints, expected):
    assert checkpoint_locations(run, checkpoints) == expected
    assert asks_for_several(run, checkpoints) == (run not in (A, "hub:owner/name") or checkpoints == "all")


@pytest.mark.parametrize("run", [[], [3.5], None, "runs/x*"])
def test_what_names_no_checkpoint_is_refused(folders, run):
    with pytest.raises(UserError, match=r"^run="):
        checkpoint_locations(run, None)


def test_a_damaged_run_does_not_stop_the_others(command, first_run, tmp_path, monkeypatch):
    for name in ("second", "damaged"):
        shutil.copytree(first_run, tmp_path / "runs" / name, symlinks=True)
    best = tmp_path / "runs" / "damaged" / "checkpoints" / "best.ckpt"
    best.write_bytes(best.read_bytes()[:999])
    (tmp_path / "mine.csv").write_text("good,bad\nthe cat sleeps,the cat sleep\nthe moon shines,the moon shine\n")
    calls = []
    read, encode = tokenized_examples.read_examples, MinimalPairs.encode
    monkeypatch.setattr(tokenized_examples, "read_examples", lambda *a: calls.append("read") or read(*a))
    monkeypatch.setattr(MinimalPairs, "encode", lambda *a: calls.append("encode") or encode(*a))
    own = ("task=minimal_pairs", "task.path=mine.csv")
    code, one, errors = command("evaluate", "run=runs/first", *own)
    assert code == 0, errors
    one = json.loads(one)
    assert one["run"] == "runs/first/checkpoints/best.ckpt"
    calls.clear()
    code, output, errors = command("evaluate", "run=runs/*", *own, "output=table.jsonl")
    assert code == 1
    assert calls == ["read", "encode"]
    head, *rows = (line.split() for line in output.splitlines())
    assert head == ["run", "checkpoint", "step", "accuracy"]
    assert [row[:3] for row in rows] == [[f"runs/{name}", "best.ckpt", rows[0][2]] for name in ("first", "second")]
    assert [float(row[3]) for row in rows] == [pytest.approx(one["metrics"]["accuracy"], abs=1e-4)] * 2
    assert "runs/damaged: runs/damaged/checkpoints/best.ckpt is damaged" in errors
    assert "error: 1 of 3 checkpoints were not measured" in errors
    written = [json.loads(line) for line in (tmp_path / "table.jsonl").read_text().splitlines()]
    assert [row["run"] for row in written] == ["runs/first", "runs/second"]
    assert {**written[0], "run": 0} == {"run": 0, "checkpoint": "best.ckpt", "step": int(rows[0][2])} | one | {"run": 0}
    code, _, errors = command("evaluate", "run=runs/first", "checkpoints=all", *own, "output=table.csv")
    assert code == 0, errors
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert lines[0] == "run,checkpoint,step,accuracy,split,examples"
    assert [line.split(",")[1] for line in lines[1:]] == ["step-4.ckpt", "best.ckpt"]
