"""Curves of hand-made logs: axes, thinning, damaged rows, and what was spent until a target."""

import csv

import pytest

from bert_lightning.compare.curves import MOST_POINTS, curves, read_log, times_to_target
from bert_lightning.compare.labelled_runs import LabelledRun
from bert_lightning.runs.run_records import RunRecord


def write_log(folder, losses, every=10, column="val/mlm/loss"):
    """Write a log with a row of training and a row of validation at each of these losses."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "metrics.csv").open("w", newline="") as file:
        log = csv.writer(file)
        log.writerow(["step", "train/tokens", "train/flops", "train/seconds", column])
        for number, loss in enumerate(losses, 1):
            step = every * number
            log.writerow([step, 100 * step, 1e6 * step, 0.5 * step, ""])
            log.writerow([step, "", "", "", loss])
    return LabelledRun(RunRecord(folder, "ended", "pretrain"), folder.name, 1)


def test_axes_are_what_was_spent_at_each_validation(tmp_path):
    (curve,) = curves([write_log(tmp_path / "bert", [6.0, 5.0, 4.0])])
    assert curve.values == [6, 5, 4]
    assert curve.steps == [10, 20, 30]
    assert curve.tokens == [1000, 2000, 3000]
    assert curve.flops == [1e7, 2e7, 3e7]
    assert curve.seconds == [5, 10, 15]


def test_the_time_to_a_target_is_interpolated_and_censored(tmp_path):
    fast, slow = write_log(tmp_path / "fast", [6.0, 4.0, 3.0]), write_log(tmp_path / "slow", [7.0, 6.5, 6.0])
    found = curves([fast, write_log(tmp_path / "bert", [6.0, 5.5, 5.0]), slow])
    times = {time.arm: (time.target, time.steps, time.seconds) for time in times_to_target(found, "bert")}
    assert times == {"fast": (5.0, 15.0, 7.5), "bert": (5.0, 30.0, 15.0), "slow": (5.0, None, None)}


def test_the_accuracy_of_minimal_pairs_rises_to_its_target(tmp_path):
    name = "val/film_pairs/accuracy"
    logs = {"bert": [0.5, 0.55, 0.6], "fast": [0.5, 0.7, 0.8], "slow": [0.5, 0.4, 0.5]}
    found = curves([write_log(tmp_path / arm, values, column=name) for arm, values in logs.items()])
    assert {curve.measure for curve in found} == {name}
    times = {time.arm: (time.target, time.steps) for time in times_to_target(found, "bert")}
    assert times == {"bert": (0.6, 30.0), "fast": (0.6, pytest.approx(15.0)), "slow": (0.6, None)}
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "metrics.csv").write_text("step,val/mlm/accuracy,val/mlm/loss\n1,0.5,6.0\n")
    own = LabelledRun(RunRecord(tmp_path / "loss", "ended", "pretrain"), "loss", 1)
    assert [curve.measure for curve in curves([own])] == ["val/mlm/loss"]  # not its accuracy


def test_long_curves_keep_their_ends_and_their_extremes(tmp_path):
    losses = [5.0] * 5000
    losses[1234], losses[3210] = 9.0, 1.0
    (curve,) = curves([write_log(tmp_path / "bert", losses)])
    assert len(curve.values) <= MOST_POINTS
    assert (curve.steps[0], curve.steps[-1]) == (10, 50_000)
    assert {9.0, 1.0} <= set(curve.values)


@pytest.mark.parametrize("end", ["40,,,,2", "40,", "\0\0\0\n", "forty,,,,2.5\n"])
def test_a_row_that_was_cut_off_is_left_out(tmp_path, end):
    write_log(tmp_path, [6.0, 5.0])
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write(end)
    assert read_log(tmp_path / "metrics.csv")["val/mlm/loss"] == [(10, 6.0), (20, 5.0)]


def test_a_run_without_a_log_has_no_curve(tmp_path):
    assert curves([LabelledRun(RunRecord(tmp_path, "ended", "pretrain"), "bert", 1)]) == []
