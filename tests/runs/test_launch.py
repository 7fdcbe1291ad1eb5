"""The launcher of ranks on one machine restarts failed ranks, and its ranks end with it."""

import os
import signal
import time
from pathlib import Path

import pytest

from bert_lightning.errors import UserError
from bert_lightning.runs import local_launch
from bert_lightning.runs.local_launch import RankFailed, launch_locally
from bert_lightning.runs.ranks import LAUNCHER_ENV
from bert_lightning.runtime.signals import Interrupted
from tests.runs.test_kills import finished, progress, started, tree
from tests.runs.test_ranks import TWO


@pytest.mark.parametrize(
    ("raised", "restarts", "attempts"),
    [
        ([], 3, 1),
        ([RankFailed("rank 1 failed\nTraceback ...\nOSError: gone")], 3, 2),
        ([RankFailed("killed")] * 3, 2, 3),
        ([UserError("a typing error")], 3, 1),
        ([Interrupted(signal.SIGTERM, 3, "runs/x")], 3, 1),
        ([RankFailed("killed"), UserError("a typing error")], 3, 2),
    ],
)
def test_only_what_may_go_well_is_repeated(raised, restarts, attempts, monkeypatch, capsys):
    left, seen = list(raised), []

    def run(arguments, ranks):
        seen.append((arguments, ranks, os.environ[LAUNCHER_ENV]))
        if left:
            raise left.pop(0)

    monkeypatch.setattr(local_launch, "_run", run)
    fails = len(raised) == attempts
    if fails:
        with pytest.raises(type(raised[-1]), match=str(raised[-1])):
            launch_locally(Path("runs/x"), ["num_workers=1"], 2, restarts)
    else:
        launch_locally(Path("runs/x"), ["num_workers=1"], 2, restarts)
    assert seen == [(("resume", "runs/x", "num_workers=1"), 2, str(os.getpid()))] * attempts
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2].partition(": ")[0] for line in lines] == [
        f"a rank failed, and all ranks start again (restart {n} of {restarts})" for n in range(1, attempts)
    ]
    assert all(line.endswith(("OSError: gone", "killed")) for line in lines)
    assert LAUNCHER_ENV not in os.environ


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_ranks_end_with_a_launcher_that_was_killed(tiny_run, tmp_path):
    slow = "+callbacks.slow={_target_: tests.runs.faults.Slow, seconds: 0.2}"
    more = ("trainer.max_steps=5000", "callbacks.checkpoints.every_steps=2", "num_workers=1", "name=orphans")
    process = started(tmp_path, "pretrain", *tiny_run, *TWO, slow, *more)
    until = time.monotonic() + 200
    while progress(tmp_path / "runs" / "orphans") < 2:
        assert process.poll() is None, (tmp_path / "errors.txt").read_text()
        assert time.monotonic() < until
        time.sleep(0.1)
    family = tree(process.pid)[1:]
    assert len([pid for pid in family if alive(pid)]) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = time.monotonic()
    while left := [pid for pid in family if alive(pid)]:
        if time.monotonic() > killed + 20:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            pytest.fail(f"{len(left)} of {len(family)} processes are left after 20 s")
        time.sleep(0.1)
    print(f"{len(family)} processes ended {time.monotonic() - killed:.1f} s after their launcher")


@pytest.mark.slow
def test_a_mistake_of_the_user_is_not_repeated_by_ranks(tiny_run, tmp_path):
    finished(started(tmp_path, "pretrain", *tiny_run, *TWO, "launch=none", "name=wrong"), tmp_path)
    mistake = ("launch=auto", "restarts=3", "callbacks.checkpoints.keep_last=0")
    (tmp_path / "errors.txt").unlink()
    assert started(tmp_path, "resume", "runs/wrong", *mistake).wait(200) == 2
    errors = (tmp_path / "errors.txt").read_text()
    assert errors == "bert-lightning: error: callbacks.checkpoints.keep_last=0 must be 1 or more\n"


@pytest.mark.slow
def test_ranks_are_told_what_the_users_own_config_names(tiny_run, tmp_path):
    """The ranks read the config from the run's folder, where nothing but the environment makes it trusted."""
    (tmp_path / "own.py").write_text(
        "from bert_lightning.objectives.pretraining import MaskedLM\nclass Words(MaskedLM): ...\n"
    )
    mine = ("objective.terms.mlm._target_=own.Words", "name=own")
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(tmp_path)])
    process = started(tmp_path, "pretrain", *tiny_run, *TWO, *mine, PYTHONPATH=path, BERT_LIGHTNING_TRUST="")
    finished(process, tmp_path)
    errors = (tmp_path / "errors.txt").read_text()
    assert errors.count("own.Words: not a part of this program") == 1, errors
