"""Runs that read the weights of other runs: found from any working directory, and told apart by their names."""

import shutil

import pytest

from bert_lightning.compare import compare
from bert_lightning.compare.encoder_sources import short_locations
from bert_lightning.runs.predictions_file import write_predictions
from tests.compare.run_folders import write_finetuning, write_pretraining


def arms_of(folder):
    return {arm.label: arm.seeds for arm in compare(folder).arms}


@pytest.mark.parametrize("started_in", ["project", "elsewhere"])
def test_a_relative_encoder_is_found_beside_the_run_whatever_the_working_directory(tmp_path, monkeypatch, started_in):
    runs = tmp_path / "project" / "runs"
    other = write_pretraining(tmp_path / "elsewhere" / "runs" / "p-1", "electra", seed=9)  # another run of this name
    for seed in (1, 2):
        write_pretraining(runs / f"p-{seed}", "bert", seed)
        write_finetuning(runs / f"f-{seed}", f"runs/p-{seed}")
    monkeypatch.chdir(tmp_path / started_in)
    assert arms_of(runs) == {"bert": [1, 2]}
    assert other.exists()


def test_runs_that_were_moved_together_find_each_other(tmp_path):
    for seed in (1, 2):
        encoder = write_pretraining(tmp_path / "old" / "runs" / f"p-{seed}", "bert", seed)
        write_finetuning(tmp_path / "old" / "runs" / f"f-{seed}", encoder / "checkpoints" / "last.ckpt")
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert arms_of(tmp_path / "new") == {"bert": [1, 2]}


def test_encoders_from_outside_whose_paths_end_alike_are_two_arms(tmp_path):
    for name in ("one", "two"):
        write_finetuning(tmp_path / f"f-{name}", f"pkg:{name}/model")
    assert arms_of(tmp_path) == {"pkg:one/model": [0], "pkg:two/model": [0]}
    assert compare(tmp_path).arms[0].settings == {"encoder": "pkg:one/model"}


def test_two_checkpoints_of_one_pretraining_are_two_arms(tmp_path):
    encoder = write_pretraining(tmp_path / "p")
    for name in ("last", "step-50"):
        write_finetuning(tmp_path / name, encoder / "checkpoints" / f"{name}.ckpt")
    assert set(arms_of(tmp_path)) == {"bert", "bert, last.ckpt", "bert, step-50.ckpt"}


def test_a_location_keeps_its_shortest_end_that_is_its_own():
    assert short_locations(["a/model", "b/model", "hub/c", "hub/c", "d"], ["d"]) == {
        "a/model": "a/model", "b/model": "b/model", "hub/c": "c", "d": "d",
    }  # fmt: skip


def test_one_run_given_by_two_paths_counts_once(tmp_path, monkeypatch):
    write_pretraining(tmp_path / "p", "bert")
    monkeypatch.chdir(tmp_path)
    found = compare(["p", tmp_path / "p", str(tmp_path)])
    assert len(found.runs) == 1
    assert not [warning for warning in found.warnings if "left out" in warning or "twice" in warning]


def test_no_time_to_a_loss_that_other_tokens_have(tmp_path):
    for name, fingerprint in (("bert", "t1"), ("albert", "t2")):
        path = write_pretraining(tmp_path / name, name, tokenizer_fingerprint=fingerprint)
        (path / "metrics.csv").write_text("step,val/mlm/loss,val/words/bits_per_byte\n1,6,3\n2,5,2\n")
        rows = [{"id": f"{i}", "text": "a film of words", "words": [[2, 6]], "bits": [8 + i]} for i in range(2)]
        about = {"split": "validation", "task": "words", "checkpoint": "step-2.ckpt", "metrics": {}}
        write_predictions(path / "predictions", "masked_words", rows, about, gold="words")
    found = compare(tmp_path)
    assert {each.measure for each in (*found.curves, *found.times_to_target)} == {"words/bits_per_byte"}


@pytest.mark.parametrize(("key", "path"), [("report", "."), ("output", "nowhere/table.md")])
def test_an_impossible_file_is_refused_before_the_comparison(command, tmp_path, key, path):
    write_pretraining(tmp_path / "p")
    code, out, errors = command("compare", str(tmp_path / "p"), f"{key}={path}")
    assert (code, out) == (2, "")
    assert f"{key}={path}" in errors
