"""Several processes share a search through its folder: exactly as many trials as asked for, whatever is killed."""

import os
import signal
import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from bert_lightning.errors import UserError
from bert_lightning.search.searching import SearchFailed, search
from bert_lightning.search.settings import SearchSettings
from bert_lightning.search.space import Space
from bert_lightning.search.trial_store import COMPLETE, FAILED, PRUNED, Outcome, TrialStore, open_study, seconds_spent

SPACE = ("lr=tag(log,interval(1e-5,1e-3))", "batch=4,8")


def store(folder, trials=6, **settings):
    space = Space.parsed(OverridesParser.create().parse_overrides(list(SPACE)), {})
    return TrialStore(folder, SearchSettings(trials=trials, startup_trials=3, **settings), space, "minimize")


def result(trial):
    """The outcome of a fake run: small learning rates are best."""
    return Outcome(COMPLETE, trial.values["lr"] * int(trial.values["batch"]))


def run(folder, objective=result, **settings):
    lines = []
    found = store(folder, **settings)
    search(found, lambda trials: [objective(trial) for trial in trials], lines.append)
    return found.trials(), lines


def values(trials):
    return [(trial.params, trial.value) for trial in trials]


@pytest.mark.parametrize("sampler", ["tpe", "qmc"])
def test_a_search_that_is_interrupted_chooses_as_one_that_is_not(sampler, tmp_path):
    whole, lines = run(tmp_path / "whole", sampler=sampler)
    assert lines[-1].endswith(f"best {min(t.value for t in whole):.5g} in trial {best(whole)}; 6 of 6 ended")
    for trials in (2, 6):
        parts, _ = run(tmp_path / "parts", sampler=sampler, trials=trials)
    assert values(parts) == values(whole)
    other, _ = run(tmp_path / "other", sampler=sampler, seed=1, trials=2)
    assert values(other) != values(whole)[:2]


def best(trials):
    return min(trials, key=lambda trial: trial.value).number


def test_failed_and_pruned_trials_are_recorded_and_passed_over(tmp_path):
    fates = [Outcome(FAILED, error="no memory"), Outcome(PRUNED), None, None, Outcome(FAILED, error="no disk"), None]
    trials, lines = run(tmp_path, lambda trial: fates[trial.number] or result(trial))
    assert [trial.state for trial in trials] == [FAILED, PRUNED, COMPLETE, COMPLETE, FAILED, COMPLETE]
    assert trials[0].user_attrs["error"] == "no memory"
    assert lines[0] == "trial 0: failed: no memory; 1 of 6 ended"
    assert lines[1].startswith("trial 1: pruned; 2 of 6")


def test_a_search_ends_if_trial_after_trial_fails(tmp_path):
    with pytest.raises(SearchFailed, match="5 trials failed one after another, the last one because: no disk"):
        run(tmp_path, lambda trial: Outcome(FAILED, error="no disk"), trials=20)
    trials, _ = run(tmp_path, trials=7)
    assert [trial.state for trial in trials] == [FAILED] * 5 + [COMPLETE] * 2


def test_a_budget_of_hours_counts_all_trials(tmp_path):
    found = store(tmp_path, trials=None, hours=1)
    claimed = found.claim()
    claimed.began -= 3599
    found.finish(claimed, result(claimed))
    claimed = found.claim()
    assert claimed is not None
    claimed.began -= 2
    found.finish(claimed, result(claimed))
    assert found.claim() is None
    assert 3601 <= seconds_spent(found.trials()) < 3610


def test_an_event_that_was_not_written_to_its_end_is_removed(tmp_path):
    run(tmp_path, trials=2)
    with (tmp_path / "trials.journal").open("a") as file:
        file.write('{"op_code":4,"worker')
    trials, _ = run(tmp_path, trials=3)
    assert [trial.state for trial in trials] == [COMPLETE] * 3
    text = (tmp_path / "trials.journal").read_text()
    (tmp_path / "trials.journal").write_text(text.replace('"op_code"', "op", 1))
    with pytest.raises(UserError, match=r"trials.journal is damaged \(.*restore it from a copy"):
        open_study(tmp_path)


WORKER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from search.test_trial_store import run, result
def slowly(trial):
    print(trial.number, trial.repeated, flush=True)
    time.sleep({seconds})
    return result(trial)
run(Path({folder!r}), slowly, trials=8)
"""


def worker(folder, seconds):
    tests = os.path.dirname(os.path.dirname(__file__))
    program = WORKER.format(tests=tests, folder=str(folder), seconds=seconds)
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_trial_whose_process_was_killed_is_repeated_by_another(tmp_path):
    first = worker(tmp_path, 60)
    assert first.stdout.readline() == "0 False\n"
    second = worker(tmp_path, 0.2)
    assert second.stdout.readline() == "1 False\n"  # trial 0 is taken
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    begun = second.communicate()[0].splitlines()
    assert begun == ["0 True", *(f"{n} False" for n in range(2, 8))]
    trials = open_study(tmp_path).get_trials()
    assert [trial.state for trial in trials] == [COMPLETE] * 8


@pytest.mark.slow
def test_several_processes_make_exactly_the_trials_that_were_asked_for(tmp_path):
    workers = [worker(tmp_path, 0.1) for _ in range(3)]
    begun = [line.split()[0] for each in workers for line in each.communicate()[0].splitlines()]
    assert sorted(begun, key=int) == [str(number) for number in range(8)]
    assert not [path for path in (tmp_path / ".locks").iterdir() if path.name.startswith("trial-")]
