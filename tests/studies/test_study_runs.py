"""Real studies, of tiny runs: killed on the way, run again by several processes, and complete in the same bits."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from bert_lightning.studies import records
from bert_lightning.studies.planned_runs import planned_runs
from bert_lightning.studies.study_file import read_study
from tests.conftest import REPOSITORY, sentences
from tests.runs.compare import differences

STUDY = """\
title: Three arms on a tiny budget
seeds: [1, 2]
budget: {steps: 16}
common:
  - data=sentences
  - data.corpus.path=%(corpus)s
  - data.folder=data/small
  - data.validation_fraction=0.2
  - model=tiny
  - model.hidden_size=32
  - model.intermediate_size=64
  - model.dropout_rate=0.1
  - batch_size=8
  - validation_examples=16
  - trainer.val_check_interval=8
  - trainer.log_every_n_steps=1
  - callbacks.checkpoints.every_steps=1
arms:
  bert: [variant=bert, tokenizer.vocab_size=400]
  distilbert:
    overrides: [variant=distilbert, model.num_hidden_layers=1]
    teacher: bert
  roberta: [variant=roberta, tokenizer=wordpiece, tokenizer.vocab_size=400]
finetuning:
  common: [task=text_classification, task.path=films.csv, task.max_length=32, trainer.max_steps=4, batch_size=8]
  tasks:
    films: []
    frozen: [frozen_blocks=1]
evaluations:
  few: {task: films, overrides: [max_examples=10]}
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_corpus):
    """Make folders with the study and its data."""

    def make(name, **changes):
        folder = tmp_path_factory.mktemp(name)
        text = STUDY % {"corpus": small_corpus}
        (folder / "study").mkdir()
        for old, new in changes.values():
            text = text.replace(old, new)
        (folder / "study" / "study.yaml").write_text(text)
        with (folder / "films.csv").open("w", newline="") as file:
            rows = [[" ".join(sentences(i, 2)), ("good", "bad")[i % 2]] for i in range(80)]
            csv.writer(file).writerows([["text", "label"], *rows])
        return folder

    return make


def started(folder, *arguments):
    """`bert-lightning study ...` in a process group of its own; what it prints is added to log.txt."""
    with (folder / "log.txt").open("a") as log:
        command = [sys.executable, "-m", "bert_lightning", "study", *arguments]
        return subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, env=ENVIRONMENT, start_new_session=True
        )


def log(folder):
    return (folder / "log.txt").read_text()


def events(folder):
    """What was printed about each run: starts, continues, done or failed."""
    found = re.findall(r"^(\S+/seed-\d\S*): (starts|continues|done|failed)", log(folder), re.MULTILINE)
    return [(name, event) for name, event in found]


def killed_when(condition, process):
    """Kill the whole process group of a command as soon as the condition holds."""
    until = time.monotonic() + 300
    while not condition() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    assert process.poll() is None, "it should still be running"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def runs_of(folder):
    study = read_study(folder / "study")
    return {run.name: run for run in planned_runs(study)}


@pytest.fixture(scope="module")
def undisturbed(place):
    """The study, run by one process that nobody disturbs."""
    folder = place("whole")
    assert started(folder, "run", "study").wait(600) == 0, log(folder)
    return folder


@pytest.mark.slow
def test_a_study_that_is_killed_twice_is_completed_and_nothing_is_done_twice(place, undisturbed):
    folder = place("killed")
    runs = runs_of(folder)

    def training():
        """Whether a pretraining has come to its third update, and not to its end."""
        saved = [run for run in runs.values() if (run.folder / "checkpoints" / "step-3.ckpt").exists()]
        return any(run.verb == "pretrain" and not (run.folder / "summary.json").exists() for run in saved)

    killed_when(training, started(folder, "run", "study", "jobs=2"))
    killed_when(
        lambda: len([1 for _, event in events(folder) if event == "done"]) > 8,
        started(folder, "run", "study", "jobs=2"),
    )
    done_before = {name for name, event in events(folder) if event == "done"}
    before = len(events(folder))
    by_hand = [started(folder, "run", "study") for _ in range(2)]  # two commands at once share the runs
    assert [process.wait(600) for process in by_hand] == [0, 0], log(folder)

    happened = events(folder)
    assert "continues" in {event for _, event in happened}
    assert not done_before & {name for name, _ in happened[before:]}
    done = Counter(name for name, event in happened if event == "done")
    finished_unsaid = [name for name in runs if not done[name]]  # killed after its result, before the line about it
    assert len(finished_unsaid) <= 2 * 2
    assert set(done.values()) == {1}
    begun = Counter(name for name, event in happened if event in ("starts", "continues"))
    assert set(begun) == set(runs)
    assert sum(begun.values()) <= len(runs) + 2 * 2  # each kill meets two jobs at most

    for name, run in runs.items():
        whole = undisturbed / "study" / "runs" / name
        if run.verb == "evaluate":
            ours, theirs = (json.loads((path / "evaluation.json").read_text()) for path in (run.folder, whole))
            assert ours["metrics"] == theirs["metrics"]
        else:
            assert differences(run.folder, whole) == [], name


@pytest.mark.slow
def test_a_run_of_a_study_equals_one_in_a_process_of_its_own(undisturbed, monkeypatch):
    """The bits of a run do not depend on the runs that the same process did before it."""
    name = "roberta/seed-2/finetune/films/seed-0"
    assert name in [name for name, _ in events(undisturbed)][-8:]  # nearly the last one
    monkeypatch.chdir(undisturbed)
    run = next(run for run in planned_runs(read_study(Path("study"))) if run.name == name)
    own = [override for override in run.overrides if not override.startswith(("runs=", "name="))]
    command = [sys.executable, "-m", "bert_lightning", "finetune", *own, "name=alone"]
    subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)
    assert differences(run.folder, Path("runs/alone")) == []


@pytest.mark.slow
def test_what_fails_is_named_at_the_end_and_the_rest_is_done(place):
    folder = place(
        "failing",
        seeds=("seeds: [1, 2]", "seeds: [1]"),
        arms=("  roberta: [variant=roberta, tokenizer=wordpiece, tokenizer.vocab_size=400]\n", ""),
        path=("frozen: [frozen_blocks=1]", "frozen: [task.path=nowhere.csv]"),
        evaluated=("task: films", "task: frozen"),
    )
    assert started(folder, "run", "study").wait(600) == 1
    text = log(folder)
    assert "failed: bert/seed-1/finetune/frozen/seed-0 and 1 more: no file matches nowhere.csv" in text
    assert "error: of 8 runs: 2 failed, 2 waiting for such a run" in text
    assert "Next: bert-lightning compare study report=study/page.html" in text
    ended = Counter(event for _, event in events(folder))
    assert ended == {"starts": 6, "done": 4, "failed": 2}

    done = runs_of(folder)["bert/seed-1/pretrain"]
    assert records.seconds_taken(done) > 0


@pytest.mark.slow
def test_a_signal_stops_all_jobs_and_saves_their_runs(place):
    folder = place("stopped", steps=("budget: {steps: 16}", "budget: {steps: 2000}"))
    runs, process = runs_of(folder), started(folder, "run", "study", "jobs=2")
    pair = [runs["bert/seed-1/pretrain"], runs["roberta/seed-1/pretrain"]]
    until = time.monotonic() + 300
    while not all((run.folder / "checkpoints" / "last.ckpt").exists() for run in pair) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 128 + signal.SIGTERM
    text = log(folder)
    for run in pair:
        assert f"stopped by SIGTERM in {run.name}: to continue, run the same command" in text
        assert not records.is_worked_on(run)
    assert text.rstrip().splitlines()[-1].startswith("bert-lightning: error: stopped by SIGTERM: to continue")
