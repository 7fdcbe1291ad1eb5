"""A run's folder has a valid name, and only one process at a time writes to it."""

import hashlib
import json
import os
import subprocess
import sys
import time

import pytest
import yaml

from bert_lightning.errors import UserError
from bert_lightning.runs.run_folder import RunFolder
from tests.conftest import REPOSITORY

NAMES = ["../x", "/x", "a/../x", ".", "..", "a/.", "", "a//b", "a/", "a\nb", "a\tb", "\x1b[31mred", "a\x00b", " a",
         "a/ b", "n" * 256]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_leads_nowhere_else(name, tmp_path):
    for key, values in (("name", (name,)), ("job", ("a", name))):
        with pytest.raises(UserError, match=f"^{key}=") as error:
            RunFolder.named(str(tmp_path), *values)
        assert str(error.value).isprintable()


@pytest.mark.parametrize("name", ["a", "a/b", "a b", "ü", "a...b", "..a", "n" * 255])
def test_a_name_may_be_any_other(name, tmp_path):
    assert RunFolder.named(str(tmp_path), name).path == tmp_path / name


@pytest.mark.parametrize("runs", ["", "a\nb"])
def test_runs_is_a_folder(runs):
    with pytest.raises(UserError, match=r"^runs='.*must be the path of a folder"):
        RunFolder.named(runs, "a")


def test_no_run_lies_inside_another(tmp_path, monkeypatch):
    (tmp_path / "first" / "checkpoints").mkdir(parents=True)
    (tmp_path / "first" / "config.yaml").touch()
    (tmp_path / "config.yaml").touch()  # somebody's own, of no run
    for name in ("first/x", "first/checkpoints/x"):
        with pytest.raises(UserError, match=r"is inside the folder of the run .*first: choose another name"):
            RunFolder.named(str(tmp_path), name)
    monkeypatch.chdir(tmp_path / "first")
    with pytest.raises(UserError, match="is inside the folder of the run"):
        RunFolder.named("runs", "x")
    assert RunFolder.named(str(tmp_path), "second").path == tmp_path / "second"


@pytest.mark.parametrize("override", ["name=../x", "name=first/checkpoints/x", "runs=''", "name=''", "job=../x"])
@pytest.mark.parametrize("verb", ["pretrain", "glue"])
def test_the_command_line_refuses_before_it_writes(override, verb, command, tiny_run, tmp_path):
    if verb == "glue" and override.startswith("job"):
        pytest.skip("glue has no jobs")
    (tmp_path / "runs" / "first" / "checkpoints").mkdir(parents=True)
    (tmp_path / "runs" / "first" / "config.yaml").touch()
    before = sorted(tmp_path.rglob("*"))
    code, _, errors = command(verb, *(tiny_run if verb == "pretrain" else ("encoder=x",)), override)
    assert code == 2
    assert errors.count("\n") == 1, errors
    assert sorted(tmp_path.rglob("*")) == before


# Holds a folder until its standard input ends.
_HOLDER = """
import sys
from pathlib import Path
from bert_lightning.runs.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.read()
"""


def state(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_a_folder_that_another_process_holds_is_left_as_it_is(command, tiny_run, tmp_path):
    folder = tmp_path / "runs" / "same"
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        (folder / "config.yaml.partial").write_text("of the other process")
        before = state(folder)
        for seed in range(3):
            code, _, errors = command("pretrain", *tiny_run, "name=same", f"seed={seed}")
            assert code == 2
            assert (
                errors.splitlines()[-1]
                == "bert-lightning: error: runs/same is being trained by another process: wait for it, or end it"
            )
            assert state(folder) == before
    finally:
        process.communicate("")
    assert command("pretrain", *tiny_run, "name=same", "seed=1")[0] == 0  # what was left behind blocks nothing


def test_a_run_that_was_made_meanwhile_is_left_as_it_is(command, tiny_run, tmp_path, monkeypatch):
    """The other process began after this one looked, and has ended before this one writes."""
    held = RunFolder.held

    def late(self):
        self.path.mkdir(parents=True, exist_ok=True)
        self.config.write_text("verb: pretrain\n")
        return held(self)

    monkeypatch.setattr(RunFolder, "held", late)
    code, _, errors = command("pretrain", *tiny_run, "name=same")
    assert code == 2
    assert "runs/same already holds a run: choose another name=..." in errors
    assert state(tmp_path / "runs") == {
        "same/config.yaml": hashlib.sha256(b"verb: pretrain\n").hexdigest()
    }  # and no lock


# One of several processes that write into one folder at once, again and again.
_WRITER = """
import sys, time
from pathlib import Path
from bert_lightning.errors import UserError
from bert_lightning.runs.run_folder import RunFolder
folder, me, until = RunFolder(Path(sys.argv[1])), sys.argv[2], time.time() + float(sys.argv[3])
won = lost = 0
while time.time() < until:
    try:
        with folder.held():
            for path in (folder.config, folder.tokenizer):
                assert not path.exists(), f"{me} is not alone: {path.read_text()} is there"
                path.write_text(me)
            assert folder.config.read_text() == folder.tokenizer.read_text() == me
            folder.config.unlink(); folder.tokenizer.unlink()
        won += 1
    except UserError as error:
        assert "is being trained by another process" in str(error), error
        lost += 1
print(won, lost)
"""


@pytest.mark.slow
def test_one_of_many_holds_a_folder_in_thousands_of_rounds(tmp_path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path / "run"), f"writer {i}", "1.0"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for i in range(3)
    ]  # fmt: skip
    said = [writer.communicate(timeout=300) for writer in writers]
    assert [errors for _, errors in said] == ["", "", ""]
    assert sum(int(output.split()[0]) for output, _ in said) > 100
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("what", ["a folder", "a link"])
def test_a_lock_that_is_no_file_is_named(what, tmp_path):
    (tmp_path / "precious").write_text("keep")
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.lock.mkdir() if what == "a folder" else folder.lock.symlink_to("../precious")
    with pytest.raises(UserError, match=r"run/\.lock cannot be opened \(.*\): delete this file"), folder.held():
        pass
    assert (tmp_path / "precious").read_text() == "keep"


@pytest.mark.parametrize("link", ["runs", "runs/a"])
def test_a_link_to_nothing_is_named(link, tmp_path):
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / "not mounted")
    with (
        pytest.raises(UserError, match=rf"{link} is a link to a file that does not exist"),
        RunFolder(tmp_path / "runs/a").held(),
    ):
        pass


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "summary.json", "checkpoints/step-9.ckpt"])
def test_a_folder_of_something_else_is_not_written_into(name, command, tiny_run, tmp_path):
    path = tmp_path / "runs" / "mine" / name
    path.parent.mkdir(parents=True)
    path.write_text("precious")
    code, _, errors = command("pretrain", *tiny_run, "name=mine")
    assert code == 2
    assert errors.splitlines()[-1].endswith(
        f"{name} exists, but runs/mine is not a run's folder: choose another name=..."
    )
    assert [(p.name, p.read_text()) for p in (tmp_path / "runs").rglob("*") if p.is_file()] == [(path.name, "precious")]


def test_what_a_kill_left_blocks_nothing(command, tiny_run, tmp_path):
    folder = tmp_path / "runs" / "a"
    (folder / "checkpoints").mkdir(parents=True)
    for name in (".lock", "config.yaml.partial", "tokenizer.json.partial", "tokenizer.json", "summary.json.partial",
                 "summary.partial", "metrics.csv.partial", "checkpoints/step-4.ckpt.partial",
                 "checkpoints/last.ckpt.partial"):  # fmt: skip
        (folder / name).write_text("half")
    code, _, errors = command("pretrain", *tiny_run, "name=a")
    assert code == 0, errors
    assert json.loads((folder / "summary.json").read_text())["steps"] == 4
    assert {path.name for path in folder.rglob("*.partial")} == {"summary.partial"}  # of an older version


def test_a_folder_that_cannot_be_written_whole_is_removed(command, tiny_run, tmp_path, monkeypatch):
    from omegaconf import OmegaConf

    def full(*_, **__):
        raise OSError(28, "No space left on device", "runs/a/config.yaml.partial")

    monkeypatch.setattr(OmegaConf, "to_yaml", full)
    code, _, errors = command("pretrain", *tiny_run, "name=a")
    assert code == 2
    assert errors.splitlines()[-1].endswith("runs/a/config.yaml.partial: No space left on device")
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.slow
def test_two_commands_of_one_name_at_once(tiny_run, tmp_path):
    """Whichever wins, the folder is its own: config, checkpoint and summary have its seed."""
    for number in range(3):
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "bert_lightning", "pretrain", *tiny_run, f"name=same{number}", f"seed={seed}"],
                cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            )
            for seed in (1, 2)
        ]  # fmt: skip
        errors = [process.communicate(timeout=300)[1] for process in processes]
        codes = [process.returncode for process in processes]
        assert sorted(codes) == [0, 2], errors
        folder = tmp_path / "runs" / f"same{number}"
        seed = 1 + codes.index(0)
        assert yaml.safe_load((folder / "config.yaml").read_text())["seed"] == seed
        assert json.loads((folder / "summary.json").read_text())["seed"] == seed
        time.sleep(0.1 * (number % 2))
