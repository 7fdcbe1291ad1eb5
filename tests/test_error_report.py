"""The outermost error handler reports bugs, signals, and failing streams, folders and disks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bert_lightning.console import error_report

MAIN = (sys.executable, "-m", "bert_lightning")
FILE = r"the traceback is in (\S+\.log): please report it"


@pytest.fixture
def broken(command, monkeypatch, tmp_path):
    """Run a verb that raises an error; the exit code and standard error."""
    (tmp_path / "logs").mkdir()
    monkeypatch.setattr(error_report, "_temporary_folder", lambda: str(tmp_path / "logs"))

    def run(error):
        def fail(config):
            raise error

        monkeypatch.setattr("bert_lightning.verbs.bench.run", fail)
        code, output, errors = command("bench")
        assert output == ""
        return code, errors

    return run


@pytest.mark.parametrize(
    "error",
    [
        ValueError("of\nsome lines\x1b[31m"),
        KeyError("steps"),
        RecursionError("too deep"),
        MemoryError(),
        RuntimeError(),
    ],
    ids=repr,
)
def test_what_nobody_foresaw_is_one_line_and_a_file(error, broken):
    code, errors = broken(error)
    assert code == 1
    assert errors.startswith(f"bert-lightning: error: unexpected {type(error).__name__}: ")
    assert errors.count("\n") == 1
    assert "\x1b" not in errors
    log = Path(re.search(FILE, errors)[1]).read_text(encoding="utf-8")
    assert log.splitlines()[0] == "bert-lightning bench"
    assert "in fail" in log


def test_an_endless_recursion_is_one_line(broken, monkeypatch):
    class Endless(Exception):
        def __str__(self):
            return "x" * 100_000

    code, errors = broken(Endless())
    assert code == 1
    assert len(errors) < 2000


def test_the_log_goes_where_it_can(broken, monkeypatch, tmp_path):
    monkeypatch.setattr(error_report, "_temporary_folder", lambda: str(tmp_path / "nothing"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert re.search(FILE, broken(KeyError("a"))[1])[1].startswith(str(tmp_path / "state" / "bert-lightning"))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    code, errors = broken(KeyError("a"))
    assert code == 1
    assert "the traceback cannot be written to a file (" in errors
    assert errors.endswith(": set BERT_LIGHTNING_DEBUG=1 to print it, and please report it\n")


def test_a_full_disk_leaves_no_half_of_a_log(monkeypatch, tmp_path):
    def on_a_full_disk(**_):
        (tmp_path / "half.log").write_text("")
        return os.open("/dev/full", os.O_WRONLY), str(tmp_path / "half.log")

    monkeypatch.setattr("tempfile.mkstemp", on_a_full_disk)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert "cannot be written to a file (No space left on device)" in error_report._save_traceback("trace")
    assert list(tmp_path.rglob("*.log")) == []


def test_the_traceback_can_be_asked_for(broken, monkeypatch):
    monkeypatch.setenv(error_report.DEBUG, "1")
    _, errors = broken(ZeroDivisionError("division"))
    assert errors.startswith("Traceback (most recent call last)")
    assert errors.count("unexpected ZeroDivisionError: division") == 1


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (SystemExit(3), 3, None),
        (SystemExit("a library said so"), 1, "error: a library said so"),
        (PermissionError(13, "Permission denied", "/a/b"), 2, "error: /a/b: Permission denied"),
        (OSError(28, "No space"), 2, "error: No space (standard output, or a file that is open)"),
        (OSError("Some library's own words"), 2, "error: Some library's own words"),
    ],
    ids=repr,
)
def test_ends_that_are_known(error, code, line, broken):
    found, errors = broken(error)
    assert found == code
    assert errors == ("" if line is None else f"bert-lightning: {line}\n")


def test_an_error_of_another_process_brings_its_traceback(broken):
    from bert_lightning.runs.local_launch import rebuild_rank_error

    said = {"message": "ValueError: odd", "extraInfo": {"py_callstack": "Traceback\n  in the rank\nValueError: odd"}}
    code, errors = broken(rebuild_rank_error(1, said))
    assert code == 1
    assert errors.startswith("bert-lightning: error: rank 1: unexpected ValueError: odd; the traceback is in ")
    assert "in the rank" in Path(re.search(FILE, errors)[1]).read_text()


def shell(line, cwd, **variables):
    environment = {**os.environ, **variables}
    done = subprocess.run(["bash", "-c", line, "bash", *MAIN], cwd=cwd, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("line", "code", "errors"),
    [
        ('"$@" --help <&- | tail -1', 0, ""),
        ('"$@" --help >&-', 0, ""),
        ('"$@" pretrian 2>&-', 2, ""),
        ('"$@" pretrian 2>/dev/full', 2, ""),
        ('env -u PYTHONUNBUFFERED "$@" --help >/dev/full', 2,
         "bert-lightning: error: standard output: No space left on device\n"),
        ('"$@" pretrain --help | head -1; exit ${PIPESTATUS[0]}', (0, 141), ""),
        ('mkdir gone; cd gone; rmdir ../gone; "$@" --help', 2,
         "bert-lightning: error: the working directory was deleted: cd to one that exists\n"),
        ('env -u HOME LANG=C LC_ALL=C PYTHONIOENCODING=ascii "$@" glue --help', 0, ""),
    ],
)  # fmt: skip
def test_streams_and_folders_that_are_not_there(line, code, errors, tmp_path):
    found, _, said = shell(line, tmp_path)
    assert said == errors
    assert found in (code if isinstance(code, tuple) else (code,))
