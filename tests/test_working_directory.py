"""Modules in the working directory are not imported, however the program is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bert_lightning.runs.ranks import MAIN_SCRIPT

REPOSITORY = str(Path(__file__).parents[1])
# Of the standard library, of what this program needs, and what Hydra looks for by itself.
NAMES = ["torch", "json", "hydra", "omegaconf", "yaml", "lightning", "numpy", "difflib", "select", "tokenizers", "csv",
         "hydra_plugins", "multiprocessing", "socket", "logging", "sitecustomize", "usercustomize"]  # fmt: skip


def without_cwd():
    script = Path(sys.executable).with_name("bert-lightning")
    return [str(script)] if script.exists() else [sys.executable, "-P", "-m", "bert_lightning"]


@pytest.fixture
def hostile(tmp_path):
    """A folder with modules that leave a canary; returns the canaries that were left."""
    for name in [*NAMES, "bert_lightning"]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"open({str(tmp_path / name)!r} + '.canary', 'w').close()")
    return lambda: sorted(path.stem for path in tmp_path.glob("*.canary"))


def run(command, folder, **variables):
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    return subprocess.run(command, cwd=folder, env={**env, **variables}, capture_output=True, text=True, timeout=300)


def test_python_m_imports_nothing_of_the_working_directory(hostile, tmp_path):
    (tmp_path / "bert_lightning" / "__init__.py").unlink()  # `-m` would run that one, before a line of this program
    (tmp_path / "bert_lightning").rmdir()
    done = run([sys.executable, "-m", "bert_lightning", "resume", "nowhere"], tmp_path, PYTHONPATH=REPOSITORY)
    assert done.stderr == "bert-lightning: error: nowhere is not a run's folder: it has no config.yaml\n"
    assert hostile() == []


@pytest.mark.slow
def test_a_rank_runs_this_package_and_no_other(hostile, tmp_path):
    done = run([sys.executable, MAIN_SCRIPT, "resume", "nowhere"], tmp_path)
    assert done.stderr == "bert-lightning: error: nowhere is not a run's folder: it has no config.yaml\n"
    assert hostile() == []


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python has PYTHONSAFEPATH since 3.11")
def test_processes_that_make_a_store_import_nothing_of_it_either(hostile, small_corpus, tmp_path):
    (tmp_path / "json" / "x").mkdir()
    data = ("data=sentences", f"data.corpus.path={small_corpus}", "data.folder=store", "data.validation_fraction=0.2",
            "tokenizer.vocab_size=300", "workers=2")  # fmt: skip
    done = run([*without_cwd(), "prepare", *data], tmp_path, PYTHONPATH=REPOSITORY)
    assert done.returncode == 0, done.stderr
    assert hostile() == []


@pytest.mark.parametrize("safe", ["", "1"])
def test_the_path_loses_the_working_directory_alone(safe, tmp_path):
    """What the user put on the path stays, also where Python has left the working directory out already."""
    (tmp_path / "mine").mkdir()
    program = tmp_path / "show.py"
    program.write_text("import sys\ndef main(): print(*sys.path, sep=chr(10))\n")
    text = Path(MAIN_SCRIPT).read_text().replace("from bert_lightning.cli import main", "from show import main")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(text)
    path = os.pathsep.join([str(tmp_path / "mine"), str(tmp_path)])
    done = run([sys.executable, "-m", "package"], package.parent / "mine", PYTHONPATH=path, PYTHONSAFEPATH=safe)
    assert done.stdout.splitlines()[:2] == [str(tmp_path / "mine"), str(tmp_path)], done.stderr
    assert done.stdout.splitlines().count(str(tmp_path / "mine")) == 1
