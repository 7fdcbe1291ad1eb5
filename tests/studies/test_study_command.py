"""`bert-lightning study`: its arguments, its messages and its status, without any training."""

import json

import pytest

WRONG = {
    "no action": ((), "study takes run or status, and a folder: write bert-lightning study run <folder>"),
    "another action": (("start", "study"), "study takes run or status, and a folder"),
    "no folder": (("run",), "study takes run or status, and a folder"),
    "no study": (("run", "nowhere"), "nowhere is not a study: it has no study.yaml"),
    "no shard": (("run", "study", "shard=3"), "shard=3 must be i/n with i from 1 to n, such as shard=1/4"),
    "no jobs": (("run", "study", "jobs=0"), "jobs=0 must be 1 or more"),
    "a sweep": (("run", "study", "-m", "jobs=1,2"), "study makes many runs without -m"),
    "another format": (("status", "study", "format=csv"), "format=csv must be table or json"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_gives_one_line(arguments, message, command, written):
    written()
    code, output, errors = command("study", *arguments)
    assert (code, output) == (2, "")
    assert errors.startswith(f"bert-lightning: error: {message}")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[variant=bert]", "[variant=brt]", "arms.bert: variant=brt: variant has no such option: did you mean bert?"),
        ("common: [model=tiny]", "common: [modell=tiny]", "modell=tiny: there is no such key: did you mean model=...?"),
        ("[split=test]", "[splt=test]", "evaluations.test: splt=test: there is no such key: did you mean split=...?"),
    ],
)
def test_a_wrong_override_names_its_place_before_anything_runs(old, new, message, command, written):
    written((old, new))
    code, _, errors = command("study", "run", "study")
    assert code == 2
    assert errors.startswith("bert-lightning: error: study/study.yaml: ")
    assert message in errors
    assert errors.count("\n") == 1


def test_status_as_a_table_and_as_json(command, written):
    folder = written()
    code, output, _ = command("study", "status", "study")
    assert code == 0
    assert output.splitlines()[0] == "Which is better?"
    assert "0 of 37 runs are done, 37 are left: unknown time" in output
    code, output, _ = command("study", "status", "study", "--json")
    assert code == 0
    assert json.loads(output)["counts"] == {"waiting": 37}
    assert not (folder / "runs").exists()
