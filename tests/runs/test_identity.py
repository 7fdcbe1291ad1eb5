"""A checkpoint is used only by its own run, only if it is intact, and only if its weights are finite."""

import shutil
from pathlib import Path

import pytest

from bert_lightning.runs import checkpoint_reading
from tests.runs.test_damages import LOADING, VERBS, edited, flipped, placed, saved
from tests.runs.test_folder import state

# What somebody may change in a config.yaml, and what the message says of it.
EDITS = {
    "seed": ("seed", 7, "seed is 0 in it and 7 in config.yaml"),
    "learning rate": ("optimizer.lr", 0.5, "optimizer.lr is 0.0005 in it and 0.5 in config.yaml"),
    "batch size": (
        "batch_size",
        4,
        "batch_size * trainer.accumulate_grad_batches * trainer.devices * trainer.num_nodes is 8 in it and 4 in",
    ),
    "steps": ("trainer.max_steps", 40, "trainer.max_steps is 4 in it and 40 in config.yaml"),
    "masking": ("masking.rate", 0.3, "masking.rate is 0.15 in it and 0.3 in config.yaml"),
    "weight decay": ("weight_decay", 0.5, "weight_decay is 0.01 in it and 0.5 in config.yaml"),
}


@pytest.mark.parametrize("case", EDITS)
def test_a_config_that_was_edited_is_no_longer_the_runs(case, runs, tmp_path):
    key, value, message = EDITS[case]
    edited(placed(key, value))(runs.path / "half" / "config.yaml")
    before = state(tmp_path)
    code, _, errors = runs.command("resume", "runs/half")
    assert code == 2
    assert errors.count("\n") == 1, errors
    assert "step-3.ckpt belongs to another run: " in errors
    assert message in errors
    assert state(tmp_path) == before


def test_a_checkpoint_of_another_run_is_refused(runs, made_runs):
    code, _, errors = runs.command("pretrain", *runs.pretraining, "name=other", "seed=7", "optimizer.lr=0.5")
    assert code == 0, errors
    shutil.copy(runs.path / "other/checkpoints/step-3.ckpt", runs.path / "half/checkpoints/step-3.ckpt")
    code, _, errors = runs.command("resume", "runs/half")
    assert code == 2
    assert "to another run: seed is 7 in it and 0 in config.yaml, optimizer.lr is 0.5 in it and 0.0005 in" in errors


def test_what_says_only_how_a_run_is_executed_may_change(runs):
    config = runs.path / "half" / "config.yaml"
    for key, value in {"num_workers": 1, "callbacks.checkpoints.keep_last": 3, "batch_size": 4,
                       "trainer.accumulate_grad_batches": 2, "name": "renamed"}.items():  # fmt: skip
        edited(placed(key, value))(config)
    runs.path.joinpath("half").rename(runs.path / "moved")
    code, output, errors = runs.command("resume", "runs/moved")
    assert code == 0, errors
    assert "runs/moved: resumes at step 3 of 4" in output


def test_a_checkpoint_of_an_older_version_is_taken_with_a_note(runs):
    saved(lambda checkpoint: checkpoint.pop("bert_lightning_run") and None)(runs.path / "half/checkpoints/step-3.ckpt")
    code, _, errors = runs.command("resume", "runs/half")
    assert code == 0, errors
    assert "step-3.ckpt was written by an older version and does not name its run" in errors


def test_existing_resume_names_another_batch_size(runs):
    code, _, errors = runs.command("pretrain", *runs.pretraining, "name=half", "existing=resume", "batch_size=16")
    assert code == 2
    assert "batch_size * trainer.accumulate_grad_batches" in errors
    assert "8 there and 16 now" in errors


RESUMED = {
    "launch=foo": "launch=foo must be ",
    "restarts=-1": "restarts=-1 ",
    "trainer.devices=abc": "trainer.devices=abc ",
    "trainer.accumulate_grad_batches=0": "trainer.accumulate_grad_batches=0 ",
    "callbacks.checkpoints.keep_last=0": "keep_last=0 must be 1 or more",
    "nonsense": "nonsense cannot be changed in a run",
    "name=x": "name=x cannot be changed in a run",
}


@pytest.mark.parametrize("override", RESUMED)
def test_wrong_overrides_of_resume_get_one_line(override, runs, tmp_path):
    before = state(tmp_path)
    code, _, errors = runs.command("resume", "runs/half", override)
    assert code == 2
    assert errors.count("\n") == 1, errors
    assert RESUMED[override] in errors
    assert state(tmp_path) == before


def test_resume_says_where_it_starts_and_ends_as_pretrain_does(runs):
    code, output, errors = runs.command("resume", "runs/half")
    assert code == 0, errors
    lines = output.strip().splitlines()
    assert lines[0] == "runs/half: resumes at step 3 of 4"
    assert any("val/mlm/loss" in line for line in lines)
    assert any(line.startswith("Next: bert-lightning predict run=runs/half") for line in lines)


def test_resume_says_that_it_starts_again(runs):
    for path in (runs.path / "tuning" / "checkpoints").iterdir():
        path.unlink()
    code, output, errors = runs.command("resume", "runs/tuning")
    assert code == 0, errors
    assert output.startswith("runs/tuning: no checkpoint yet, so training starts again at step 0 of 2\n")
    assert "Next: bert-lightning predict run=runs/tuning" in output


@pytest.mark.parametrize("verb", LOADING)
def test_a_flipped_bit_is_never_used(verb, runs, tmp_path):
    name, arguments = VERBS[verb]
    flipped(runs.path / name / "checkpoints" / "best.ckpt")
    code, _, errors = runs.command(*arguments(runs))
    assert code == 2
    assert "best.ckpt is damaged (its part " in errors
    assert errors.strip().endswith("use another checkpoint of this run")


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_scores_that_are_no_numbers_are_no_answer(verb, runs):
    """Finite weights whose products are not: the norm divides by what overflowed."""
    name, arguments = VERBS[verb]

    def overflow(checkpoint):
        for key, tensor in checkpoint["state_dict"].items():
            if "word" in key or "query_key_value" in key:
                tensor.fill_(3e38)

    saved(overflow)(runs.path / name / "checkpoints" / "best.ckpt")
    code, output, errors = runs.command(*arguments(runs))
    assert code == 2
    assert "best.ckpt computes scores that are not numbers (NaN)" in errors
    assert "nan" not in output


def test_no_permission_is_called_so(runs, monkeypatch, tmp_path):
    """As root, permissions do not apply: the system's answer is imitated."""
    open_file = Path.open

    def denied(self, *arguments, **options):
        if self.name in ("config.yaml", "summary.json", "best.ckpt"):
            raise PermissionError(13, "Permission denied", str(self))
        return open_file(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", denied)

    def denied_zip(path, *rest):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(checkpoint_reading.zipfile, "ZipFile", denied_zip)
    for verb, file in (("resume", "config.yaml"), ("predict", "best.ckpt"), ("evaluate", "best.ckpt")):
        code, _, errors = runs.command(*VERBS[verb][1](runs))
        assert code == 2
        assert f"{file} cannot be read (Permission denied): check the permissions" in errors
        assert "damaged" not in errors
    monkeypatch.setattr(Path, "open", open_file)
    code, _, errors = runs.command("resume", "runs/half")
    assert code == 2
    assert "step-3.ckpt cannot be read (Permission denied): check the permissions" in errors


def test_foreign_names_of_checkpoints_are_passed_over(runs):
    folder = runs.path / "half" / "checkpoints"
    for name in ("step-abc.ckpt", "step-.ckpt", "step--1.ckpt", "step-5.ckpt.partial", "step-99999.ckpt"):
        (folder / name).write_bytes((folder / "step-3.ckpt").read_bytes())
    (folder / "step-9999999999999999999999.ckpt").mkdir()
    (folder / "step-7.ckpt").write_bytes(b"")
    (folder / "step-8.ckpt").symlink_to("not-there.ckpt")
    code, output, errors = runs.command("resume", "runs/half", "callbacks.checkpoints.keep_last=1")
    assert code == 0, errors
    assert "resumes at step 3 of 4" in output
    assert "step-9999999999999999999999.ckpt is damaged (it is not a file)" in errors
    assert "step-8.ckpt is damaged (No such file or directory)" in errors
    assert "step-99999.ckpt is damaged (it holds step 3, but its name gives another step)" in errors
    assert (folder / "last.ckpt").resolve().name == "step-4.ckpt"
    assert (folder / "step-4.ckpt").exists()
