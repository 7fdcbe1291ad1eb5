"""Which runs a worker does and in which order, with runs that write their result at once instead of training."""

import os
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass

import pytest

from bert_lightning.errors import UserError
from bert_lightning.runtime.signals import Interrupted
from bert_lightning.studies import records, worker
from bert_lightning.studies.line_prefix import prefixed_output
from bert_lightning.studies.planned_runs import planned_runs
from bert_lightning.studies.run_states import CHANGED, DONE, FAILED, RUNNING, WAITING, RunState
from bert_lightning.studies.study_file import read_study
from bert_lightning.studies.worker import Worker
from bert_lightning.studies.worker_processes import device_groups, threads_of_job

from .conftest import holding

STUDENT, TEACHER, TUNED = "distilbert/seed-1/pretrain", "bert/seed-1/pretrain", "bert/seed-1/finetune/sentiment/seed-5"


@dataclass
class Fakes:
    """Runs that are done when their folder has a result, or as `states` says."""

    runs: list
    states: dict
    done: list
    failing: tuple = ()

    def state(self, run, configs):
        found = DONE if (run.folder / "result").exists() else WAITING
        if records.is_worked_on(run):
            found = RUNNING
        elif records.last_error(run):
            found = FAILED
        return RunState(run, self.states.get(run.name, found))

    def execute(self, run):
        if run.name in self.failing:
            raise UserError("the disk is full")
        self.done.append(run.name)
        run.folder.mkdir(parents=True, exist_ok=True)
        (run.folder / "summary.json").write_text(run.name)
        (run.folder / "result").touch()
        return "found"

    def work(self, **settings):
        made = Worker(self.runs, None, self.execute, **settings)
        made.work()
        return {run.name: made._ended[run.folder] for run in self.runs}


@pytest.fixture
def fakes(written, monkeypatch):
    found = Fakes(planned_runs(read_study(written())), {}, [])
    monkeypatch.setattr(worker, "run_state", found.state)
    monkeypatch.setattr(worker, "isolated", nullcontext)  # it frees memory, which takes a tenth of a second
    monkeypatch.setattr(worker, "_LOOKS_EVERY", 0.01)
    return found


def test_every_run_is_done_once_and_in_order(fakes):
    assert set(fakes.work().values()) == {DONE}
    assert fakes.done == [run.name for run in fakes.runs]
    assert set(fakes.work().values()) == {DONE}
    assert len(fakes.done) == len(fakes.runs)


def test_a_failed_run_stops_nothing_but_what_needs_it(fakes, capfd):
    fakes.failing = (TEACHER,)
    ended = fakes.work()
    needing = {name for name in ended if name.startswith(("bert/seed-1", "distilbert/seed-1", "frozen/seed-1"))}
    assert {name for name, state in ended.items() if state == WAITING} == needing - {TEACHER}
    assert ended.pop(TEACHER) == FAILED
    assert {state for name, state in ended.items() if name not in needing} == {DONE}
    assert f"{TEACHER}: failed: the disk is full" in capfd.readouterr().out


def test_a_failed_run_is_tried_again_by_the_next_command_only(fakes):
    fakes.failing = (TEACHER,)
    fakes.work()
    fakes.failing = ()
    assert fakes.work(since=time.time() - 60)[TEACHER] == FAILED
    assert fakes.work(since=time.time() + 60)[TEACHER] == DONE


def test_a_changed_run_is_left_alone_with_all_that_comes_from_it(fakes):
    fakes.states[TEACHER] = CHANGED
    ended = fakes.work()
    assert (ended[TEACHER], ended[STUDENT], ended[TUNED]) == (CHANGED, WAITING, WAITING)
    assert not any(name.startswith("bert/seed-1") for name in fakes.done)


def test_a_run_of_another_process_is_waited_for(fakes):
    teacher = next(run for run in fakes.runs if run.name == TEACHER)
    with holding(records.claim_of(teacher).path):
        working = threading.Thread(target=fakes.work)
        working.start()
        while len(fakes.done) < len([run for run in fakes.runs if "seed-1" not in run.name.split("/")[1]]):
            time.sleep(0.01)
        time.sleep(0.1)
        assert not {TEACHER, STUDENT, TUNED} & {*fakes.done}
        assert working.is_alive()
    working.join(30)  # the other process has ended without a result, so this one does the run
    assert {TEACHER, STUDENT, TUNED} <= {*fakes.done}
    assert len(fakes.done) == len(fakes.runs)


def test_a_signal_ends_the_work(fakes):
    def stopped(run):
        raise Interrupted(15, 3, str(run.folder))

    with pytest.raises(
        Interrupted, match=f"^stopped by SIGTERM in {TEACHER}: to continue, run the same command$"
    ) as stop:
        Worker(fakes.runs, None, stopped).work()
    assert stop.value.exit_code == 143
    assert not records.last_error(fakes.runs[0])


def test_a_bug_leaves_its_traceback(fakes):
    def broken(run):
        raise ZeroDivisionError("a bug")

    Worker(fakes.runs, None, broken).work()
    message = records.last_error(fakes.runs[0])
    assert message.startswith("ZeroDivisionError: a bug; the traceback is in ")
    assert "in broken" in (records.claim_of(fakes.runs[0]).path / "traceback.txt").read_text()


def test_lines_begin_with_the_name_of_the_run(capfd):
    with prefixed_output("bert/seed-1/pretrain"):
        print("one\n\ntwo")
        print("half", end="")
    print("after")
    assert (
        capfd.readouterr().out
        == "bert/seed-1/pretrain: one\nbert/seed-1/pretrain: two\nbert/seed-1/pretrain: half\nafter\n"
    )


def test_the_cores_are_divided_among_the_jobs(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [threads_of_job(None, jobs) for jobs in (1, 2, 3, 16)] == [8, 4, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert (threads_of_job(None, 2), threads_of_job(5, 2)) == (3, 5)


def test_the_gpus_are_divided_among_the_jobs():
    assert device_groups(["0", "1", "2", "3"], 2) == ["0,1", "2,3"]
    assert device_groups(["4", "6"], 3) == ["4", "6", "4"]
    assert device_groups(["0"], 2) == device_groups([], 2) == [None, None]
