"""`bert-lightning runs` on folders made by hand: columns, conditions, order, JSON, damage."""

import json
import os

import pytest
import yaml

CHOSEN = {
    "a": ("bert", 1, 2.5, 0.02),
    "b": ("electra", 1, 4.0, 0.01),
    "c": ("bert", 2, float("nan"), 0.02),
}  # name -> variant, seed, loss, learning rate


@pytest.fixture
def listed(command, tmp_path):
    """Three ended runs and a damaged one in `runs`, and a function that lists their names, or returns the error."""
    for number, (name, (variant, seed, loss, lr)) in enumerate(CHOSEN.items()):
        folder = tmp_path / "runs" / name
        (folder / "checkpoints").mkdir(parents=True)
        config = {
            "verb": "pretrain", "name": name, "seed": seed, "optimizer": {"lr": lr}, "model": {"hidden_size": 128},
            "monitor": {"metric": "val/mlm/loss"},
            "origin": {"choices": {"variant": variant},
                       "overrides": [f"variant={variant}", f"seed={seed}", f"name={name}", "+model.hidden_size=128"]},
        }  # fmt: skip
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        summary = {
            "verb": "pretrain", "steps": 4, "wall_seconds": 1.5, "metrics": {"val/mlm/loss": loss}, "best": None,
            "budget": {"unit": "steps", "total": 4.0, "spent": 4.0, "share": 1.0},
        }  # fmt: skip
        (folder / "summary.json").write_text(json.dumps(summary))
        for path in folder.glob("*.*"):
            os.utime(path, (1e9 + number, 1e9 + number))
    (tmp_path / "runs" / "d" / "checkpoints").mkdir(parents=True)
    (tmp_path / "runs" / "d" / "config.yaml").write_text("{")

    def names(*arguments):
        code, output, errors = command("runs", "--json", *arguments)
        if code:
            return errors.removeprefix("bert-lightning: error: ").strip()
        return " ".join(run["path"].rpartition("/")[2] for run in json.loads(output))

    return names


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "a b c d"),
        (["runs/b"], "b"),
        (["runs/b", "runs/a"], "a b"),
        (["where=variant=bert and seed>1"], "c"),
        (["where=[variant=bert,seed<=1]"], "a"),
        (['where=["lr>=0.02"]'], "a c"),
        (["where=val/mlm/loss<4"], "a"),
        (["where=variant!=bert"], "b"),
        (["where=variant=b*"], "a c"),
        (["where=state=interrupted"], "d"),
        (["where=wall_seconds=1.50"], "a b c"),
        (["sort=-val/mlm/loss"], "b a c d"),
        (["sort=age", "where=verb=pretrain"], "c b a"),
        (
            ["where=hidden_siz=1"],
            "where: no run here has the config key or metric hidden_siz: did you mean model.hidden_size?",
        ),
        (["where=seed>x"], "where: seed>x needs a number after the >"),
        (["where=bert"], "where=bert is not a condition: write for example where='variant=bert and seed>1'"),
        (["absent"], "absent cannot be searched for runs (No such file or directory): give a folder that exists"),
        (["format=xml"], "format=xml must be table or json"),
    ],
    ids=str,
)
def test_runs_are_selected_and_sorted(listed, arguments, expected):
    assert listed(*arguments) == expected


@pytest.mark.usefixtures("listed")
def test_the_table_shows_what_the_runs_vary(command):
    code, output, errors = command("runs")
    assert code == 0, errors
    head, *rows, _, last = output.splitlines()
    assert head.split() == ["run", "state", "verb", "differs", "in", "metric", "changed", "size", "note"]
    assert rows[0].startswith("runs/a  ended        pretrain  variant=bert seed=1     val/mlm/loss  2.5")
    assert "config.yaml is damaged" in rows[3]
    assert last.startswith("4 runs: 3 ended, 1 interrupted; ")


@pytest.mark.usefixtures("listed")
def test_json_is_strict(command):
    _, output, _ = command("runs", "format=json")
    runs = json.loads(output, parse_constant=lambda name: pytest.fail(name))
    assert runs[2]["value"] is None
    assert runs[0]["config"]["model"] == {"hidden_size": 128}
    assert runs[3]["note"]
